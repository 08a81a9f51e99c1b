import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Followed, Follower, FollowRequest } from './follower.ts';
import { fromPlainError, type FollowAnswer, type FollowOrder } from './follow-messages.ts';
import type { Wrapping } from './wrapping.ts';

/** The sources run as .ts, a release as .js. */
const threadFile = new URL(`./follow-worker${extname(import.meta.url)}`, import.meta.url);

/** For the thread's own objects, a few MiB; buffers do not count. */
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };
/** The thread is told of growth by pieces of this size. */
const stepBytes = 2 ** 20;
/** Longest wait for the thread to undo its work by itself. */
const endTimeoutMs = 5_000;

/**
 * Follows a blob while it is written. The disk's file is there when `finish` has answered a disk that is not the blob itself, and removed on
 * any failure but the thread's own death, which is an `Error`. Aborting makes `failed` and `finish` reject with the signal's reason. To be
 * disposed of in any case: that ends the thread, and answers when it, its files and its programs have gone.
 */
export function followBlob(request: FollowRequest, signal: AbortSignal): Follower {
  const result = Promise.withResolvers<Followed>();
  result.promise.catch(() => undefined); // told by `failed` and `finish`
  const failed = result.promise.then(async () => new Promise<never>(() => undefined));
  failed.catch(() => undefined); // whoever looks at it is told
  const thread = new Worker(threadFile, { workerData: request, resourceLimits, env: {}, execArgv: [], name: 'follow-blob' });
  const gone = new Promise<number>((resolve) => {
    thread.once('exit', resolve);
  });
  let told = 0;

  thread.once('message', (answer: FollowAnswer) => {
    if (answer.kind === 'done') result.resolve(answer.followed);
    else result.reject(fromPlainError(answer.error));
  });
  thread.once('error', (error) => result.reject(new Error('the thread that unpacks images failed', { cause: error })));
  void gone.then((code) => result.reject(new Error(`the thread that unpacks images ended with ${code} and no answer`)));

  const tell = (order: FollowOrder): void => thread.postMessage(order);
  const onAbort = (): void => {
    result.reject(signal.reason);
    tell({ kind: 'end' });
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });

  function advance(bytes: number): void {
    if (bytes - told < stepBytes) return;
    told = bytes;
    tell({ kind: 'advance', bytes });
  }

  async function finish(totalBytes: number): Promise<Followed> {
    tell({ kind: 'finish', totalBytes });
    return result.promise;
  }

  async function dispose(): Promise<void> {
    signal.removeEventListener('abort', onAbort);
    result.reject(new DOMException('the follower was disposed of', 'AbortError'));
    tell({ kind: 'end' });
    const force = setTimeout(() => void thread.terminate(), endTimeoutMs);
    await gone;
    clearTimeout(force);
  }

  return { advance, finish, failed, [Symbol.asyncDispose]: dispose };
}

/** Unpacks a file that is there, as `followBlob` does. */
export async function unwrapFile(
  blobFile: string,
  wrapping: Wrapping,
  disk: Pick<FollowRequest, 'diskFile' | 'maxDiskBytes' | 'maxRatio'>,
  signal: AbortSignal,
): Promise<Followed> {
  const { size } = await stat(blobFile);
  await using follower = followBlob({ blobFile, wrapping, ...disk }, signal);
  return await follower.finish(size);
}
