import type { Transport } from '../http/transport.ts';
import type { Compression } from '../layer/wrapping.ts';
import type { DiskReading } from './origin.ts';

/** A line of a mapping: exactly one of `name` and `match`. */
export interface ImageSource {
  /** Exact image name; without tag it means `:latest`. */
  readonly name?: string | undefined;
  /** Regular expression over the whole name (anchored here). */
  readonly match?: string | undefined;
  /**
   * `https://`, `http://` or `file:///` address. With `match`, `$1` to `$99` stand for its groups and `$$` for a dollar sign, in the path
   * and query of a URL and below the first directory of a file, never in a host.
   */
  readonly url: string;
  /** Digest that the disk must have, unpacked: 64 hex digits. */
  readonly sha256?: string | undefined;
  readonly format: DiskReading['format'];
  /** Default: by the end of the path. */
  readonly compression?: Compression | undefined;
  /** A key of the mapping's transports. */
  readonly transport?: string | undefined;
}

/** Lines of one place, with the transports that they may name. */
export interface Mapping {
  /** For messages: `images.sources`, or a file. */
  readonly from: string;
  readonly sources: readonly ImageSource[];
  readonly transports: ReadonlyMap<string, Transport>;
}

/** How the bytes behind a path are compressed, by its end. */
export function compressionOf(path: string): Compression {
  const [, end] = /\.(gz|zst|xz)$/i.exec(path) ?? [];
  return compressions[end?.toLowerCase() ?? ''] ?? 'none';
}

const compressions: Readonly<Record<string, Compression>> = { gz: 'gzip', zst: 'zstd', xz: 'xz' };
