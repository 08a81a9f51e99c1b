import type { DiskFormat } from '../../model/image.ts';
import type { Wrapping } from '../layer/wrapping.ts';
import type { Reference } from '../reference.ts';
import type { BlobSource } from '../transfer/blob-source.ts';

/** Credentials of one PullImage (CRI's AuthConfig); all may be absent. Never logged. */
export interface RegistryAuth {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Base64 of `username:password`. */
  readonly auth?: string | undefined;
  /** Whom these are for; used only where its host is the registry's, if given. */
  readonly serverAddress?: string | undefined;
  /** An OAuth2 refresh token. */
  readonly identityToken?: string | undefined;
  /** Sent to the registry as a bearer token. */
  readonly registryToken?: string | undefined;
}

/** A layer that may hold the disk. */
export interface RegistryLayer {
  /** `sha256:<64 hex>`, which the blob must have. */
  readonly digest: string;
  /** As the manifest says; a blob of another size is refused. */
  readonly sizeBytes: number;
  readonly wrapping: Wrapping;
  readonly format: DiskFormat;
  readonly source: BlobSource;
}

/** An image whose manifest is known and whose signature, where the policy wants one, is verified. */
export interface ResolvedImage {
  /** Of the manifest or index that the reference leads to: what `repo_digests` shows. */
  readonly digest: string;
  /** In the manifest's order; exactly one must hold a disk. An artifact has exactly one. */
  readonly layers: readonly RegistryLayer[];
}

/** Images in registries; dispose to close its connections. */
export interface RegistryPull extends Disposable {
  /** Throws `PullProblem`, INVALID (unknown reference form) or the signal's reason. */
  readonly resolve: (reference: Reference, signal: AbortSignal) => Promise<ResolvedImage>;
}

/** Begins a pull with the credentials of one caller. */
export type OpenRegistry = (auth: RegistryAuth | undefined) => RegistryPull;
