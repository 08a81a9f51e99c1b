import { abandonOnAbort, withTimeout } from './signals.ts';

/** Work that may run side by side, and work that has to run alone. */
export interface SharedLock {
  /** Runs `work` beside other shared work; waits while something runs alone. Throws the signal's reason when it is aborted first. */
  readonly share: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;
  /**
   * As `share`, but for so long behind work that waits to run alone, which work without a gap would else keep waiting: for what nobody
   * waits for.
   */
  readonly shareBehind: <T>(work: () => Promise<T>, longestMs: number, signal: AbortSignal) => Promise<T>;
  /**
   * Runs `work` at the first moment at which nothing else runs, and keeps other work out while it does. One that hangs, or work without a
   * gap, so makes it wait, but nobody waits for what has not begun, except what is shared behind it.
   */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Makes a lock that nobody holds. Not re-entrant: neither kind of work may ask for the other. */
export function makeSharedLock(): SharedLock {
  const shared = new Set<Promise<unknown>>();
  const asked = new Set<Promise<unknown>>();
  let last: Promise<unknown> | undefined;

  async function share<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    while (last) await abandonOnAbort(last, signal);
    return heldIn(shared, Promise.try(work));
  }

  async function shareBehind<T>(work: () => Promise<T>, longestMs: number, signal: AbortSignal): Promise<T> {
    if (asked.size > 0) {
      using patience = withTimeout(signal, longestMs, 'work that is to run alone');
      await abandonOnAbort(noneAsked(), patience).catch(() => signal.throwIfAborted());
    }
    return share(work, signal);
  }

  async function noneAsked(): Promise<void> {
    while (asked.size > 0) await Promise.all(asked);
  }

  async function alone<T>(work: () => Promise<T>): Promise<T> {
    return heldIn(asked, runAlone(work));
  }

  async function runAlone<T>(work: () => Promise<T>): Promise<T> {
    while (last || shared.size > 0) await Promise.all([last, ...shared]);
    const running = Promise.try(work);
    const ended = running.catch(() => undefined);
    last = ended;
    try {
      return await running;
    } finally {
      last = undefined;
    }
  }

  return { share, shareBehind, alone };
}

/** Keeps work in a set as long as it goes on, as a promise that does not fail. */
async function heldIn<T>(set: Set<Promise<unknown>>, running: Promise<T>): Promise<T> {
  const ended = running.catch(() => undefined);
  set.add(ended);
  try {
    return await running;
  } finally {
    set.delete(ended);
  }
}
