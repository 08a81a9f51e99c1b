import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unwrapFile } from '../../src/images/layer/follow.ts';
import type { Digested, Followed, FollowRequest } from '../../src/images/layer/follower.ts';
import type { Compression } from '../../src/images/layer/wrapping.ts';
import { tempDir } from './temp.ts';

/** What to unwrap; by default a disk of at most 1 GiB that is in no archive. */
export interface UnwrapOptions extends Partial<Pick<FollowRequest, 'maxDiskBytes' | 'maxRatio'>> {
  readonly compression?: Compression;
  readonly archive?: 'none' | 'tar';
}

/** Puts a blob into a file and unwraps it; `diskFile` is where the disk went. */
export function unwrapBlob(
  blob: Uint8Array,
  options: UnwrapOptions = {},
): { readonly followed: Promise<Followed>; readonly diskFile: string } {
  const { compression = 'none', archive = 'none', maxDiskBytes = 2 ** 30, maxRatio } = options;
  const dir = tempDir();
  const [blobFile, diskFile] = [join(dir, 'blob'), join(dir, 'disk')];
  writeFileSync(blobFile, blob);
  const disk = { diskFile, maxDiskBytes, ...(maxRatio === undefined ? {} : { maxRatio }) };
  return { followed: unwrapFile(blobFile, { compression, archive }, disk, AbortSignal.timeout(60_000)), diskFile };
}

/** Digest and size of bytes. */
export function digested(bytes: Uint8Array): Digested {
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, sizeBytes: bytes.length };
}
