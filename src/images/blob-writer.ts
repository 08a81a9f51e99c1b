import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** Bytes on their way to a file. */
export interface BlobWriter {
  /** Takes a copy of the chunk; waits while the disk is behind. Throws the system's error. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  /** Writes the rest and answers what was written. The file is not yet durable: sync it. */
  readonly finish: () => Promise<{ readonly digest: string; readonly sizeBytes: number }>;
}

const bufferBytes = 2 ** 20;
const syncEveryBytes = 64 * 2 ** 20;

/**
 * Writes and hashes at once. INVARIANTS: memory is two buffers of 1 MiB whatever the size; one write is under way while the next buffer
 * fills; one step of hashing is at most 1 MiB (about a millisecond), so the event loop stays free. Every 64 MiB the disk is made to begin
 * its own work, so that the final sync is short and no large backlog piles up in the page cache.
 */
export function makeBlobWriter(file: FileHandle): BlobWriter {
  const hash = createHash('sha256');
  let filling = Buffer.allocUnsafeSlow(bufferBytes);
  let spare = Buffer.allocUnsafeSlow(bufferBytes);
  let filled = 0;
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  let syncing: Promise<void> | undefined;
  let syncedTo = 0;

  async function flush(): Promise<void> {
    await writing;
    const [full, length, at] = [filling, filled, position];
    [filling, spare] = [spare, filling];
    filled = 0;
    position += length;
    writing = writeAll(file, full.subarray(0, length), at);
    writing.catch(() => undefined); // seen by the next flush or by finish
    hash.update(full.subarray(0, length));
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
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + bufferBytes - filled);
        filling.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === bufferBytes) await flush();
      }
    },
    finish: async () => {
      await flush();
      await writing;
      await syncing;
      return { digest: `sha256:${hash.digest('hex')}`, sizeBytes: position };
    },
  };
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
