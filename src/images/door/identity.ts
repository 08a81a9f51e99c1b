import type { FileHandle } from 'node:fs/promises';

/** What tells one state of a file from another: which file it is, its size, and when its bytes and its inode last changed (nanoseconds). */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  /** Nobody can set this one: a file whose bytes were changed and whose mtime was put back still differs. */
  readonly ctimeNs: bigint;
}

/** The identity of an open file: fstat, so that no path can be swapped in between. */
export async function identityOf(file: FileHandle): Promise<FileIdentity> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
  return { dev, ino, size, mtimeNs, ctimeNs };
}

/**
 * What differs between two identities, for a message; `undefined` if nothing does. A rename, a link and a chmod change ctime alone: whoever
 * makes one takes the identity again on the same handle and passes `ignoringCtime` to compare across it.
 */
export function differenceOf(before: FileIdentity, after: FileIdentity, ignoringCtime = false): string | undefined {
  const compared = ignoringCtime ? contents : ([...contents, 'ctimeNs'] as const);
  const differing = compared.filter((key) => before[key] !== after[key]);
  return differing.length === 0 ? undefined : differing.join(', ');
}

const contents = ['dev', 'ino', 'size', 'mtimeNs'] as const;
