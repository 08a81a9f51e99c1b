import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, messageOf } from '../../lib/errno.ts';
import { readSmallFile } from '../../lib/small-file.ts';
import { invalid } from '../../model/errors.ts';

const maxFileBytes = 2 ** 20;
const maxEntries = 200;

/** Reads a text file of at most 1 MiB; `undefined` when there is none. Throws INVALID naming it: unreadable, larger, no regular file. */
export async function readTextFile(file: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(file, maxFileBytes)).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw invalid(file, messageOf(error));
  }
}

/** The first of these that is a directory below `parent`. Throws INVALID naming one that cannot be looked at. */
export async function firstDirectory(parent: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const dir = join(parent, name);
    try {
      if ((await stat(dir)).isDirectory()) return dir;
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw invalid(dir, messageOf(error));
    }
  }
  return undefined;
}

/** Names in a directory, in their order; at most 200. Throws INVALID naming it. */
export async function namesIn(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch((error: unknown) => {
    throw invalid(dir, messageOf(error));
  });
  if (names.length > maxEntries) throw invalid(dir, `holds more than ${maxEntries} files`);
  return names.toSorted();
}
