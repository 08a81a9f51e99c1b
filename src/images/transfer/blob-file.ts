import type { FileHandle } from 'node:fs/promises';
import { freeChunk } from '../http/free-reads.ts';
import { sizeOf, withInterval, prefixOf, type Intervals } from './intervals.ts';

/** Writes consecutive bytes from a position on. */
export interface PieceWriter {
  /** Where the next byte goes, whether or not what came before is written yet. */
  readonly position: () => number;
  /** Takes the chunk, whose memory is freed when it is written; waits while the disk is behind. Throws the system's error. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  /** Answers when all that was taken is written. */
  readonly flush: () => Promise<void>;
}

/** A file that is written in pieces, several at a time. */
export interface BlobFile {
  readonly writerAt: (position: number) => PieceWriter;
  /** What is written. */
  readonly written: () => Intervals;
  /** What would outlive a power cut. */
  readonly durable: () => Intervals;
  /** Makes durable what is written when it is called. Throws the system's error, that of an earlier sync too: the kernel tells it once only. */
  readonly sync: () => Promise<void>;
  /** Answers when no sync is under way any more; throws as `sync`. */
  readonly settled: () => Promise<void>;
}

const batchBytes = 2 ** 20;
const usualSyncEveryBytes = 64 * 2 ** 20;

/**
 * Writes to an open file. `present` is durable already; `onWritten` is told how long the whole beginning is when it has grown. INVARIANTS: memory is
 * two batches of about 1 MiB a writer; one is being written while the next comes in. Every `syncEveryBytes` (default 64 MiB) the disk is made to begin its
 * own work, so that the final sync is short and no large backlog piles up in the page cache.
 */
export function makeBlobFile(
  file: FileHandle,
  present: Intervals,
  onWritten: (prefixBytes: number) => void,
  syncEveryBytes = usualSyncEveryBytes,
): BlobFile {
  let written = present;
  let durable = present;
  let unsynced = 0;
  let syncing: Promise<void> = Promise.resolve();
  let isSyncing = false;
  let failure: { readonly error: unknown } | undefined;

  function note(from: number, to: number): void {
    const before = prefixOf(written);
    written = withInterval(written, { from, to });
    const prefix = prefixOf(written);
    if (prefix > before) onWritten(prefix);
    unsynced += to - from;
    if (unsynced >= syncEveryBytes && !isSyncing) sync().catch(() => undefined); // kept in `failure`, which the next write throws
  }

  async function syncOnce(): Promise<void> {
    if (failure) throw failure.error;
    if (sizeOf(durable) === sizeOf(written)) return;
    const snapshot = written;
    unsynced = 0;
    isSyncing = true;
    try {
      await file.datasync();
      durable = snapshot;
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      isSyncing = false;
    }
  }

  async function sync(): Promise<void> {
    syncing = syncing.then(syncOnce, syncOnce);
    return syncing;
  }

  function writerAt(start: number): PieceWriter {
    let batch: Uint8Array[] = [];
    let position = start;
    let handedOn = start;
    let writing: Promise<void> = Promise.resolve();

    async function handOn(): Promise<void> {
      await writing;
      if (failure) throw failure.error;
      if (batch.length === 0) return;
      const [chunks, from, to] = [batch, handedOn, position];
      [batch, handedOn] = [[], position];
      writing = writeAll(file, chunks, from).then(() => {
        chunks.forEach(freeChunk); // 2 GB of chunks are little garbage to the collector's eyes, and would lie about by the 100 MB
        note(from, to);
      });
      writing.catch(() => undefined); // seen by the next call
    }

    return {
      position: () => position,
      write: async (chunk) => {
        batch.push(chunk);
        position += chunk.length;
        if (position - handedOn >= batchBytes) await handOn();
      },
      flush: async () => {
        await handOn();
        await writing;
      },
    };
  }

  return {
    writerAt,
    written: () => written,
    durable: () => durable,
    sync,
    settled: async () => {
      await syncing.catch(() => undefined);
      if (failure) throw failure.error;
    },
  };
}

/** Writes all chunks; a write of several may stop within one when the disk is nearly full, and the next then tells why. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  let rest = chunks;
  for (let at = position; rest.length > 0;) {
    const { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    rest = without(rest, bytesWritten);
  }
}

/** The chunks without their first `bytes`. */
function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const chunk of chunks) {
    if (skip < chunk.length) rest.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  return rest;
}
