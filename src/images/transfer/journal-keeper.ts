import type { BlobFile } from './blob-file.ts';
import { canResume, type BlobIdentity } from './identity.ts';
import { sizeOf } from './intervals.ts';
import type { PartialFile } from './partial.ts';

/** What is kept a journal of. */
export interface KeptBlob {
  readonly partial: PartialFile;
  readonly blob: BlobFile;
  /** As far as it is known; nothing is written for a blob that could not be taken up again. */
  readonly identity: () => BlobIdentity;
}

/** Writes a journal now and then, until disposed. */
export interface JournalKeeper extends AsyncDisposable {
  /** Syncs and writes once more. Throws the system's error. */
  readonly writeNow: () => Promise<void>;
}

/**
 * Keeps the journal of a blob that is being written. It goes by time and not by bytes: a fast download is not slowed down, a slow one loses
 * no more than `everyMs`. A failure is told once, to `onFailure`.
 */
export function keepJournal({ partial, blob, identity }: KeptBlob, everyMs: number, onFailure: (error: unknown) => void): JournalKeeper {
  let writtenBytes = sizeOf(blob.durable());
  let writing: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const { totalBytes, ...known } = identity();
    if (totalBytes === undefined || !canResume({ totalBytes, ...known })) return;
    await blob.sync();
    const durable = blob.durable();
    if (sizeOf(durable) === writtenBytes) return;
    await partial.writeJournal({ identity: { totalBytes, ...known }, durable });
    writtenBytes = sizeOf(durable);
  }

  async function writeNow(): Promise<void> {
    writing = writing.then(write, write);
    return writing;
  }

  let isBusy = false;
  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    writeNow()
      .catch(onFailure)
      .finally(() => (isBusy = false));
  }, everyMs);
  return {
    writeNow,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await writing.catch(() => undefined);
    },
  };
}
