import type { DiskFormat } from '../../model/image.ts';
import type { ForeignFormat } from '../door/foreign-header.ts';
import type { Transport } from '../http/transport.ts';
import type { Compression } from '../layer/wrapping.ts';
import type { Reference } from '../reference.ts';

/** How the bytes at an origin are to be read: said by the node's configuration, never by a pod. */
export interface DiskReading {
  readonly format: DiskFormat | ForeignFormat;
  readonly compression: Compression;
  /** `sha256:<64 hex>` that the disk's bytes must have, unpacked and before any conversion; from the reference or the configuration. */
  readonly digest: string | undefined;
}

/** A file that an HTTP or HTTPS server gives. */
export interface HttpOrigin extends DiskReading {
  readonly kind: 'http';
  readonly url: URL;
  /** Whether the operator wrote the url's host; of `virtlet.cloud/<host>/...` the pod's author did, from `images.urlHosts`. */
  readonly isConfigured: boolean;
  readonly transport: Transport;
}

/** A file on the node. */
export interface FileOrigin extends DiskReading {
  readonly kind: 'file';
  readonly path: string;
}

/** An image in an OCI registry, which says itself how its layers are to be read. */
export interface RegistryOrigin {
  readonly kind: 'registry';
  readonly reference: Reference;
}

/** Where an image comes from. */
export type Origin = HttpOrigin | FileOrigin | RegistryOrigin;

/** Answers where a reference's bytes come from. Throws INVALID when that cannot be or when the reference contradicts a configured digest. */
export type OriginOf = (reference: Reference) => Origin;
