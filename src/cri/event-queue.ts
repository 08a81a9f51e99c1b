/** Events on their way to one reader. */
export interface EventQueue<T> {
  /** Never waits. When `max` events are waiting already, all are dropped and the reader gets the error. */
  readonly push: (event: T) => void;
  /** Events in order, until the signal aborts: the loop then ends without an error. */
  readonly read: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>;
}

/** Makes a queue of at most `max` events; a reader that is slower learns that it has missed some by `overflow`'s error. */
export function makeEventQueue<T>(max: number, overflow: () => Error): EventQueue<T> {
  let waiting: T[] = [];
  let isOver = false;
  let wake: () => void = () => undefined;

  return {
    push: (event) => {
      if (isOver) return;
      if (waiting.length >= max) {
        isOver = true;
        waiting = [];
      } else waiting.push(event);
      wake();
    },
    async *read(signal) {
      const onAbort = (): void => wake();
      signal.addEventListener('abort', onAbort);
      try {
        while (!signal.aborted) {
          if (isOver) throw overflow();
          const next = waiting.shift();
          if (next !== undefined) yield next;
          else {
            const { promise, resolve } = Promise.withResolvers<void>();
            wake = resolve;
            await promise;
          }
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
