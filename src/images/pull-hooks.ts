import type { Image } from '../model/image.ts';
import type { Door } from './door/door.ts';
import { Refusal } from './failures.ts';

/** Who counts pulls. Called synchronously; must not throw. */
export interface PullHooks {
  readonly onPullStarted: () => void;
  /** `error`: what the caller gets; `undefined` for an image. */
  readonly onPullEnded: (error: unknown) => void;
  /** Bytes of a disk that have arrived since the last call. */
  readonly onBytes: (bytes: number) => void;
  /** How many bytes more (or, negative, fewer) downloads under way have yet to bring. */
  readonly onPending: (bytes: number) => void;
  /** The door has judged a disk; `rule` is why it was refused, `undefined` for one that passed. */
  readonly onInspected: (rule: string | undefined) => void;
}

/** Nobody counts. */
export const noHooks: PullHooks = {
  onPullStarted: () => undefined,
  onPullEnded: () => undefined,
  onBytes: () => undefined,
  onPending: () => undefined,
  onInspected: () => undefined,
};

type Pull<R> = (request: R, signal: AbortSignal) => Promise<Image>;

/** The same pull, counted. */
export function countPulls<R>(hooks: PullHooks, pull: Pull<R>): Pull<R> {
  return async (request, signal) => {
    hooks.onPullStarted();
    try {
      const image = await pull(request, signal);
      hooks.onPullEnded(undefined);
      return image;
    } catch (error) {
      hooks.onPullEnded(error);
      throw error;
    }
  };
}

/** The same door, counted. */
export function countInspections(hooks: PullHooks, door: Door): Door {
  return {
    ...door,
    inspect: async (disk, format, signal) => {
      try {
        const passed = await door.inspect(disk, format, signal);
        hooks.onInspected(undefined);
        return passed;
      } catch (error) {
        if (error instanceof Refusal) hooks.onInspected(error.rule);
        throw error;
      }
    },
  };
}

/** What one download has yet to bring, told as it changes; nothing of it is left once it is disposed. */
export interface PendingBytes extends Disposable {
  readonly progress: (haveBytes: number, totalBytes: number | undefined) => void;
}

/** Counts what a download has yet to bring; a size that is not known counts as nothing. */
export function countPending(hooks: PullHooks): PendingBytes {
  let pending = 0;
  const set = (bytes: number): void => {
    if (bytes !== pending) hooks.onPending(bytes - pending);
    pending = bytes;
  };
  return {
    progress: (haveBytes, totalBytes) => set(totalBytes === undefined ? 0 : Math.max(0, totalBytes - haveBytes)),
    [Symbol.dispose]: () => set(0),
  };
}
