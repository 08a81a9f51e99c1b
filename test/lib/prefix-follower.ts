import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { Followed, Follower } from '../../src/images/layer/follower.ts';

/** A follower of a bare blob, in the thread of the test: reads the beginning that is there and hashes it. */
export interface PrefixFollower extends Follower {
  /** Ends the download as a bad blob would. */
  readonly refuse: (error: Error) => void;
  readonly isDisposed: () => boolean;
  /** What it was told of, in order. */
  readonly told: readonly number[];
}

/** Begins to follow `blobFile`, which must be there. */
export function followPrefix(blobFile: string, bufferBytes = 2 ** 18): PrefixFollower {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  const file = openSync(blobFile, 'r');
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(bufferBytes);
  const told: number[] = [];
  let [target, position, isDisposed] = [0, 0, false];
  let reading: Promise<void> = Promise.resolve();

  async function readOn(): Promise<void> {
    while (position < target && !isDisposed) {
      const bytes = readSync(file, buffer, 0, Math.min(buffer.length, target - position), position);
      if (bytes === 0) throw new Error(`nothing at ${position}, though ${target} bytes were said to be there`);
      hash.update(buffer.subarray(0, bytes));
      position += bytes;
      await turn();
    }
  }

  function advance(bytes: number): void {
    if (bytes < target) failed.reject(new Error('the beginning became shorter'));
    told.push(bytes);
    target = bytes;
    reading = reading.then(readOn);
    reading.catch(failed.reject);
  }

  return {
    advance,
    finish: async (totalBytes): Promise<Followed> => {
      advance(totalBytes);
      await reading;
      const blob = { digest: `sha256:${hash.digest('hex')}`, sizeBytes: totalBytes };
      return { blob, disk: blob };
    },
    failed: failed.promise,
    refuse: failed.reject,
    isDisposed: () => isDisposed,
    told,
    [Symbol.asyncDispose]: async () => {
      if (isDisposed) return;
      isDisposed = true;
      await reading.catch(() => undefined);
      closeSync(file);
    },
  };
}
