/** What a disk's bytes are compressed by. */
export type Compression = 'none' | 'gzip' | 'zstd' | 'xz';

/** What stands around a disk in a blob: the blob is the disk itself when it is `{ compression: 'none', archive: 'none' }`. */
export interface Wrapping {
  readonly compression: Compression;
  /** `tar`: a containerDisk's layer, with one regular file under `disk/`. */
  readonly archive: 'none' | 'tar';
}

/** True where the blob is the disk. */
export function isBare({ compression, archive }: Wrapping): boolean {
  return compression === 'none' && archive === 'none';
}
