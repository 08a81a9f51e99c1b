import { abandonOnAbort } from './signals.ts';

/** A number of places, first come first served. */
export interface Slots {
  /** Waits for a free place; dispose to give it back. Throws the signal's reason when it is aborted first; the place in the queue is then given up. */
  readonly take: (signal: AbortSignal) => Promise<Disposable>;
  /** Callers that wait now. */
  readonly waiting: () => number;
}

/** Makes `count` free places. */
export function makeSlots(count: number): Slots {
  let free = count;
  const queue: PromiseWithResolvers<void>[] = [];

  function give(): void {
    const next = queue.shift();
    if (next) next.resolve();
    else free += 1;
  }

  async function wait(signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>();
    queue.push(turn);
    try {
      await abandonOnAbort(turn.promise, signal);
    } catch (error) {
      const at = queue.indexOf(turn);
      if (at >= 0) queue.splice(at, 1);
      else give(); // the turn came together with the abort
      throw error;
    }
  }

  return {
    take: async (signal) => {
      signal.throwIfAborted();
      if (free > 0) free -= 1;
      else await wait(signal);
      let isHeld = true;
      return {
        [Symbol.dispose]: () => {
          if (isHeld) give();
          isHeld = false;
        },
      };
    },
    waiting: () => queue.length,
  };
}
