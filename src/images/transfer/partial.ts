import { constants, renameSync } from 'node:fs';
import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { removeDurably, writeDurably } from '../../lib/durable-file.ts';
import { isErrno } from '../../lib/errno.ts';
import { decodeJournal, encodeJournal, maxJournalBytes, type Journal } from './journal.ts';

/**
 * A blob that is not whole yet: `<key>.part`, and `<key>.json` that says what of it would outlive a power cut. Disposing closes the file and
 * leaves both. INVARIANT: the journal never claims bytes that are not in the file for sure: it is written after a sync, and is gone for good before
 * the file is emptied.
 */
export interface PartialFile extends AsyncDisposable {
  readonly path: string;
  readonly file: FileHandle;
  /** What an earlier run left; `undefined` when nothing of it can be used. */
  readonly readJournal: () => Promise<Journal | undefined>;
  /** To be called only with bytes that were synced. */
  readonly writeJournal: (journal: Journal) => Promise<void>;
  /** Begins from nothing: no journal, no bytes. */
  readonly empty: () => Promise<void>;
  /** Removes both files; also to be called when the blob has been renamed to its place. */
  readonly discard: () => Promise<void>;
}

const keyPattern = /^[0-9a-f]{1,128}$/;
const partialName = /^([0-9a-f]{1,128})\.(?:part|json|json\.new)$/;
const removedName = /^[0-9a-f]{1,128}\.(?:part|json|json\.new)\.removed$/;

/**
 * Opens or makes (0600) the partial file of `key` (hexadecimal digits) in `dir`. One at a time for each key, which is the caller's to see to.
 * Throws the system's error.
 */
export async function openPartial(dir: string, key: string): Promise<PartialFile> {
  if (!keyPattern.test(key)) throw new RangeError('key of a partial file: must be hexadecimal digits');
  const path = join(dir, `${key}.part`);
  const journalPath = join(dir, `${key}.json`);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  const removeJournal = async (): Promise<void> => {
    if (await exists(journalPath)) await removeDurably(journalPath);
  };
  return {
    path,
    file,
    readJournal: async () => {
      const content = await readBounded(journalPath, maxJournalBytes);
      const journal = content && decodeJournal(content);
      const { size } = await file.stat();
      return journal && (journal.durable.at(-1)?.to ?? 0) <= size ? journal : undefined;
    },
    writeJournal: async (journal) => writeDurably(journalPath, encodeJournal(journal)),
    empty: async () => {
      await removeJournal();
      await file.truncate(0);
    },
    discard: async () => {
      await removeJournal();
      await rm(path, { force: true });
    },
    [Symbol.asyncDispose]: async () => file.close(),
  };
}

/** Which partial files may go. */
export interface SweepOptions {
  /** Whether a pull has claimed the key; it claims before it opens the file. Asked in the same turn in which the file goes. */
  readonly inUse: (key: string) => boolean;
  /** Youngest age, since it was written to last, milliseconds. */
  readonly olderThanMs: number;
  /** Unix time, milliseconds. */
  readonly now: number;
}

/**
 * Removes partial files that nobody has written to for a while, and answers the keys. INVARIANT: never a file of a pull in progress, also of one that
 * begins meanwhile: between the question and the rename to a name that nobody opens there is no turn of the event loop. Removing itself, which
 * may take long for a large file, comes after. Other files are left alone. Throws the system's error.
 */
export async function sweepPartials(dir: string, { inUse, olderThanMs, now }: SweepOptions): Promise<readonly string[]> {
  const names = await readdir(dir);
  const swept = new Set<string>();
  for (const name of names) {
    const key = partialName.exec(name)?.[1];
    if (key === undefined || inUse(key)) continue;
    const times = await timesOf([join(dir, `${key}.part`), join(dir, `${key}.json`)]);
    if (times.some((mtimeMs) => now - mtimeMs < olderThanMs) || inUse(key)) continue;
    if (renameIfThere(join(dir, name))) swept.add(key);
  }
  const removed = (await readdir(dir)).filter((name) => removedName.test(name));
  for (const name of removed) await rm(join(dir, name), { force: true });
  return [...swept];
}

function renameIfThere(path: string): boolean {
  try {
    renameSync(path, `${path}.removed`);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

async function timesOf(paths: readonly string[]): Promise<readonly number[]> {
  const times = await Promise.all(
    paths.map(async (path) => {
      try {
        return (await stat(path)).mtimeMs;
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return undefined;
        throw error;
      }
    }),
  );
  return times.filter((time) => time !== undefined);
}

async function exists(path: string): Promise<boolean> {
  return (await timesOf([path])).length > 0;
}

/** A file's content; `undefined` where there is none, or more than `maxBytes`. */
async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { size } = await file.stat();
    return size <= maxBytes ? await file.readFile() : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ELOOP')) return undefined;
    throw error;
  }
}
