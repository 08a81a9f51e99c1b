import { watch, type FSWatcher } from 'node:fs';

/** Waits for something to do. */
export interface Waker extends Disposable {
  /** Ends the wait under way, or the next one. */
  readonly wake: () => void;
  /** Waits until the file changes, `wake` is called, or `timeoutMs` has passed; without inotify at most `pollMs`. */
  readonly wait: (timeoutMs: number) => Promise<void>;
}

/** Makes a waker for a file, which need not be there yet: until it can be watched, it is polled. */
export function makeWaker(file: string, pollMs: number): Waker {
  let watcher: FSWatcher | undefined;
  let isAwake = false;
  let waiting: (() => void) | undefined;

  function wake(): void {
    isAwake = true;
    waiting?.();
  }

  function drop(): void {
    watcher?.close();
    watcher = undefined;
  }

  function tryWatch(): void {
    try {
      watcher = watch(file, { persistent: false }, wake);
      watcher.on('error', drop);
      wake(); // something may have come before the watch was in place
    } catch {
      watcher = undefined; // not there yet, or no inotify left: polled
    }
  }

  return {
    wake,
    wait: async (timeoutMs) => {
      if (!watcher) tryWatch();
      if (!isAwake) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, watcher ? timeoutMs : Math.min(timeoutMs, pollMs));
        waiting = resolve;
        await promise;
        clearTimeout(timer);
        waiting = undefined;
      }
      isAwake = false;
    },
    [Symbol.dispose]: drop,
  };
}
