import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** Bytes on their way to a file. */
export interface BlobWriter {
  /** Takes the chunk, which must not change any more; waits while the disk is behind. Throws the system's error. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  /** Writes the rest and answers what was written. The file is not yet durable: sync it. */
  readonly finish: () => Promise<{ readonly digest: string; readonly sizeBytes: number }>;
}

const batchBytes = 2 ** 20;
const syncEveryBytes = 64 * 2 ** 20;

/**
 * Writes and hashes at once. INVARIANTS: memory is two batches of about 1 MiB whatever the size; one batch is being written while the next
 * comes in; hashing goes by chunk (64 KiB from a socket, 0.1 ms), so the event loop stays free. Every 64 MiB the disk is made to begin its
 * own work, so that the final sync is short and no large backlog piles up in the page cache. A thread of its own for hashing and writing
 * was measured on two cores and gained nothing.
 */
export function makeBlobWriter(file: FileHandle): BlobWriter {
  const hash = createHash('sha256');
  let batch: Uint8Array[] = [];
  let batched = 0;
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  let syncing: Promise<void> | undefined;
  let syncedTo = 0;

  async function flush(): Promise<void> {
    await writing;
    writing = writeAll(file, batch, position);
    writing.catch(() => undefined); // seen by the next flush or by finish
    position += batched;
    [batch, batched] = [[], 0];
    startSync();
  }

  function startSync(): void {
    if (syncing !== undefined || position - syncedTo < syncEveryBytes) return;
    syncedTo = position;
    const done = (): void => void (syncing = undefined);
    syncing = file.datasync().then(done, done); // an error comes again from the final sync or from writing
  }

  return {
    write: async (chunk) => {
      hash.update(chunk);
      batch.push(chunk);
      batched += chunk.length;
      if (batched >= batchBytes) await flush();
    },
    finish: async () => {
      await flush();
      await writing;
      await syncing;
      return { digest: `sha256:${hash.digest('hex')}`, sizeBytes: position };
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
