import type { DiskFormat } from '../model/image.ts';
import type { ForeignFormat } from './door/foreign-header.ts';
import { isBare, type Wrapping } from './layer/wrapping.ts';
import type { ResolvedImage } from './registry/registry.ts';
import type { FileOrigin, HttpOrigin } from './sources/origin.ts';
import { digestOfText, hexOf } from './store/image-record.ts';
import type { BlobSource } from './transfer/blob-source.ts';

/** A blob that may hold the disk. */
export interface Part {
  readonly source: BlobSource;
  readonly wrapping: Wrapping;
  readonly format: DiskFormat | ForeignFormat;
  /** What the blob must be, where a manifest says it. */
  readonly expected: { readonly digest: string; readonly sizeBytes: number } | undefined;
  /** Under which name an unfinished download of it is kept, hex digits: the same for whoever wants the same bytes. */
  readonly partialKey: string;
  /** Its source's own longest time without a byte, milliseconds; `undefined`: as for all. */
  readonly stallTimeoutMs?: number | undefined;
}

/** A disk that somebody wants. */
export interface Wanted {
  /** In the manifest's order; exactly one must hold a disk. */
  readonly parts: readonly Part[];
  /** Digest that the disk must have, unpacked and not converted. */
  readonly diskDigest: string | undefined;
  /** Digest of all that decides which disk comes out, where it is known in advance: an image with this content need not be fetched. */
  readonly content: string | undefined;
  /** Digest that is the same for whoever may share one download of it. */
  readonly flight: string;
  /** Digest of where it comes from and how it is read, to find the validators of an earlier download. */
  readonly origin: string | undefined;
}

/** What a layer list says of the disk that comes out of it. */
export function wantedOfLayers({ layers }: ResolvedImage): Wanted {
  const readings = layers.map(({ digest, wrapping, format }) => [digest, format, wrapping.archive, wrapping.compression]);
  const content = digestOfText(JSON.stringify(readings));
  const parts = layers.map(({ source, wrapping, format, digest, sizeBytes }) => ({
    source,
    wrapping,
    format,
    expected: { digest, sizeBytes },
    partialKey: hexOf(digest),
  }));
  return { parts, diskDigest: undefined, content, flight: content, origin: undefined };
}

/** What a mapping says of its one file. */
export function wantedOfFile(origin: HttpOrigin | FileOrigin, source: BlobSource): Wanted {
  const { format, compression, digest } = origin;
  const wrapping: Wrapping = { compression, archive: 'none' };
  const stallTimeoutMs = origin.kind === 'http' ? origin.transport.stallTimeoutMs : undefined;
  const address = origin.kind === 'http' ? origin.url.href : origin.path;
  const key = digestOfText(JSON.stringify([address, format, compression, digest ?? '', ...trustOf(origin)]));
  const content = digest === undefined ? undefined : digestOfText(JSON.stringify(['disk', digest, format]));
  return {
    parts: [{ source, wrapping, format, expected: undefined, partialKey: hexOf(key), stallTimeoutMs }],
    diskDigest: digest,
    content,
    flight: content ?? key,
    origin: key,
  };
}

/** By what a server is believed to be who it is: bytes that came without a look at its certificate are none of those that came with one. */
function trustOf(origin: HttpOrigin | FileOrigin): readonly unknown[] {
  if (origin.kind === 'file') return [];
  const { tls, proxy } = origin.transport;
  const { ca, serverName, skipVerify } = tls;
  const isUsual = ca === undefined && serverName === undefined && skipVerify !== true && proxy === undefined;
  return isUsual ? [] : [ca ?? [], serverName ?? '', skipVerify === true, proxy ?? ''];
}

/** Digest that the blob itself must have: a manifest's, or the disk's where the blob is the disk. */
export function blobDigestOf(wanted: Wanted, part: Part): string | undefined {
  return part.expected?.digest ?? (isBare(part.wrapping) ? wanted.diskDigest : undefined);
}
