import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from '../lib/errno.ts';
import { invalid } from '../model/errors.ts';

/** How long a group may still have members when it is removed: the kernel reaps an ended process's threads a moment later. */
const emptyWithinMs = 2_000;

/**
 * Makes the groups `names` below `root`, each inside the one before, and answers the last one's directory. `prepare` runs for each,
 * from the top, before anything is made below it. A group that is there is fine; one that is removed meanwhile is made again.
 */
export async function makeGroups(
  root: string,
  names: readonly string[],
  prepare: (dir: string, parent: string) => Promise<void>,
): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      let dir = root;
      for (const name of names) {
        const parent = dir;
        dir = join(parent, name);
        await makeGroup(dir);
        await prepare(dir, parent);
      }
      return dir;
    } catch (error) {
      if (attempt >= 5 || !isErrno(error, 'ENOENT', 'ENODEV')) throw error;
    }
  }
}

async function makeGroup(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: 0o755 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** Removes a group; one that is gone is fine. Throws EBUSY's error when it is not empty after 2 s. */
export async function removeGroup(dir: string): Promise<void> {
  const end = performance.now() + emptyWithinMs;
  for (;;) {
    try {
      return await rmdir(dir);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      if (!isErrno(error, 'EBUSY') || performance.now() > end) throw error;
    }
    await delay(25);
  }
}

/** Removes a group if it is empty at once. */
export async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await rmdir(dir);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EBUSY', 'ENOTEMPTY')) throw error;
  }
}

/** A file of a group without white space around it; empty when group or file is not there. */
export async function readGroupFile(dir: string, file: string): Promise<string> {
  try {
    return (await readFile(join(dir, file), 'utf8')).trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return '';
    throw error;
  }
}

/** Writes a file of a group in one piece. Throws the kernel's error with the file's path: `EINVAL`, `EBUSY`, `ESRCH` (no such process). */
export async function writeGroupFile(dir: string, file: string, text: string): Promise<void> {
  await writeFile(join(dir, file), text);
}

/** Writes a limit. Throws INVALID for one that the kernel does not take: CPUs that there are not, a number out of range. */
export async function writeLimitFile(dir: string, file: string, text: string): Promise<void> {
  try {
    await writeGroupFile(dir, file, text);
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ERANGE')) throw invalid('resources', `the kernel refuses ${JSON.stringify(text)} for ${file}`);
    throw error;
  }
}

/** The count after `key` in a file of lines "key count"; 0 when it is not there. */
export function countOf(text: string, key: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${key} `));
  return Number(line?.slice(key.length + 1) ?? 0);
}
