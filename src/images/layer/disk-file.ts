import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { Refusal } from '../failures.ts';
import { dataRuns } from './data-runs.ts';
import type { Digested } from './follower.ts';

/** The file that a disk is unpacked to. */
export interface DiskFile {
  /** Copies the chunk, and waits while the disk is behind. Throws `Refusal` `disk-size`, or the system's error. */
  readonly write: (chunk: Uint8Array) => Promise<void>;
  /** Writes the rest, closes the file and answers what it holds. It is not yet durable. */
  readonly finish: () => Promise<Digested>;
  /** Closes and removes it. */
  readonly discard: () => Promise<void>;
}

const batchBytes = 2 ** 20;
const syncEveryBytes = 64 * 2 ** 20;

/**
 * Makes the file (0600; it must not exist). INVARIANTS: memory is two batches of 1 MiB, one of which is being written while the other is filled;
 * stretches of zeros become holes; every 64 MiB the disk is made to begin its own work, so that the final sync is short.
 */
export async function createDiskFile(path: string, maxBytes: number): Promise<DiskFile> {
  const file = await open(path, 'wx', 0o600);
  const hash = createHash('sha256');
  const batches = [Buffer.allocUnsafeSlow(batchBytes), Buffer.allocUnsafeSlow(batchBytes)] as const;
  let current: 0 | 1 = 0;
  let filled = 0;
  let position = 0;
  let syncedTo = 0;
  let writing: Promise<void> = Promise.resolve();
  let syncing: Promise<void> | undefined;

  async function flush(): Promise<void> {
    const batch = batches[current].subarray(0, filled);
    hash.update(batch);
    await writing;
    writing = writeData(file, batch, position);
    writing.catch(() => undefined); // seen by the next flush
    position += filled;
    filled = 0;
    current = current === 0 ? 1 : 0;
    startSync();
  }

  function startSync(): void {
    if (syncing !== undefined || position - syncedTo < syncEveryBytes) return;
    syncedTo = position;
    const done = (): void => void (syncing = undefined);
    syncing = file.datasync().then(done, done); // an error comes again from the final sync or from writing
  }

  async function write(chunk: Uint8Array): Promise<void> {
    if (position + filled + chunk.length > maxBytes) {
      throw new Refusal('disk-size', `the disk unpacks to more than the ${maxBytes} bytes that images.maxBytes allows`);
    }
    for (let rest = chunk; rest.length > 0;) {
      const part = rest.subarray(0, batchBytes - filled);
      batches[current].set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
      if (filled === batchBytes) await flush();
    }
  }

  async function finish(): Promise<Digested> {
    await flush();
    await writing;
    await file.truncate(position); // the disk may end with a hole
    await syncing;
    await file.close();
    return { digest: `sha256:${hash.digest('hex')}`, sizeBytes: position };
  }

  async function discard(): Promise<void> {
    await writing.catch(() => undefined);
    await syncing;
    await file.close();
    await rm(path, { force: true });
  }

  return { write, finish, discard };
}

async function writeData(file: FileHandle, batch: Buffer, position: number): Promise<void> {
  for (const [from, to] of dataRuns(batch)) {
    // A write may stop early when the disk is nearly full, and the next then tells why.
    for (let at = from; at < to;) at += (await file.write(batch, at, to - at, position + at)).bytesWritten;
  }
}
