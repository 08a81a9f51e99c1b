import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../lib/errno.ts';
import { removeDurably, writeDurably } from '../lib/durable-file.ts';
import { toDiskFull } from '../model/disk-full.ts';
import { decodeRecord, encodeRecord } from './envelope.ts';

/** How a kind of record is kept. */
export interface RecordsOptions<T> {
  /** Directory of this kind alone; made 0700. One file a record: `<id>.json`. */
  readonly dir: string;
  /** Version of the schema that `parse` reads; a file of another version is unreadable, never guessed at. */
  readonly version: number;
  /** Checks a decoded record; throws with what is wrong. Big integers arrive as decimal strings. */
  readonly parse: (value: unknown) => T;
  /** Told of each file that is read; for counting. */
  readonly onRead?: () => void;
}

/** A file that could not be read as a record; it is left where it is. */
export interface UnreadableRecord {
  readonly id: string;
  readonly file: string;
  readonly problem: string;
  /** When the file was written last, Unix time in nanoseconds; 0 when that cannot be told. */
  readonly changedAtNs: bigint;
}

/**
 * Durable records, in memory for reading. INVARIANTS: what `get` and `all` answer is on disk; writes of one id happen in the order
 * they were asked for; a crash leaves the old or the new record, never a part.
 */
export interface Records<T> {
  readonly get: (id: string) => T | undefined;
  readonly all: () => ReadonlyMap<string, T>;
  /** Writes, then shows the record. Throws DISK_FULL (also when the disk is read-only) or the system's error, and then changes nothing. */
  readonly put: (id: string, record: T) => Promise<void>;
  /** Removes the record; absent is fine. Throws as `put`. */
  readonly remove: (id: string) => Promise<void>;
  /** What was found unreadable when the records were opened. */
  readonly unreadable: readonly UnreadableRecord[];
}

/** How records are opened; a room takes another way from its deps. */
export type OpenRecords = typeof openRecords;

/**
 * Reads all records of a directory once; later reads come from memory. Synchronous reads on purpose: they are done before anything is
 * served, and a file of a page costs 20 us so, as against 100 us of CPU for its four turns through the thread pool.
 */
export async function openRecords<T>(options: RecordsOptions<T>): Promise<Records<T>> {
  const { dir, version, parse } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const records = new Map<string, T>();
  const unreadable: UnreadableRecord[] = [];
  const tails = new Map<string, Promise<void>>();
  for (const name of readdirSync(dir).toSorted()) load(name);

  function load(name: string): void {
    const file = join(dir, name);
    if (name.endsWith('.new')) return rmSync(file, { force: true }); // a write that a crash cut short: its record was never shown
    if (!name.endsWith('.json')) return;
    const id = name.slice(0, -'.json'.length);
    try {
      options.onRead?.();
      records.set(id, parse(decodeRecord(readFileSync(file, 'utf8'), version)));
    } catch (error) {
      unreadable.push({ id, file, problem: messageOf(error), changedAtNs: changeOf(file) });
    }
  }

  async function inOrder(id: string, write: () => Promise<void>): Promise<void> {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id)) throw new TypeError(`not a record id: ${id}`);
    const run = (tails.get(id) ?? Promise.resolve()).then(write).catch((error: unknown) => {
      throw toDiskFull(error, dir);
    });
    const tail = run.then(
      () => undefined,
      () => undefined,
    );
    tails.set(id, tail);
    try {
      await run;
    } finally {
      if (tails.get(id) === tail) tails.delete(id);
    }
  }

  return {
    get: (id) => records.get(id),
    all: () => records,
    put: async (id, record) =>
      inOrder(id, async () => {
        await writeDurably(join(dir, `${id}.json`), encodeRecord(record, version));
        records.set(id, record);
      }),
    remove: async (id) =>
      inOrder(id, async () => {
        await removeDurably(join(dir, `${id}.json`));
        records.delete(id);
      }),
    unreadable,
  };
}

function changeOf(file: string): bigint {
  try {
    return statSync(file, { bigint: true }).mtimeNs;
  } catch {
    return 0n;
  }
}
