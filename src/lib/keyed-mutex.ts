import { abandonOnAbort } from './signals.ts';

/** A held lock; `using lock = await mutex.lock(...)` releases it at the end of the block. */
export interface Lock extends Disposable {
  readonly key: string;
}

/** Mutual exclusion by key, first come first served. Not re-entrant: taking a key twice in one call chain waits for ever. */
export interface KeyedMutex {
  /** Waits for the key. Throws the signal's reason when it is aborted first; the place in the queue is then given up. */
  readonly lock: (key: string, signal: AbortSignal) => Promise<Lock>;
}

/** Makes a mutex without any key taken. Keys that nobody holds cost no memory. */
export function makeKeyedMutex(): KeyedMutex {
  const tails = new Map<string, Promise<void>>();

  async function lock(key: string, signal: AbortSignal): Promise<Lock> {
    signal.throwIfAborted();
    const before = tails.get(key) ?? Promise.resolve();
    const mine = Promise.withResolvers<void>();
    const tail = before.then(() => mine.promise);
    tails.set(key, tail);
    const release = (): void => {
      mine.resolve();
      if (tails.get(key) === tail) tails.delete(key);
    };
    try {
      await abandonOnAbort(before, signal);
    } catch (error) {
      // The place is passed on only when it would have been our turn, so that order is kept.
      void before.then(release);
      throw error;
    }
    return { key, [Symbol.dispose]: release };
  }

  return { lock };
}
