import type { Image } from '../model/image.ts';

/** Who counts pulls. Called synchronously; must not throw. */
export interface PullHooks {
  readonly onPullStarted: () => void;
  /** `error`: what the caller gets; `undefined` for an image. */
  readonly onPullEnded: (error: unknown) => void;
  /** Bytes of a disk that have arrived since the last call. */
  readonly onBytes: (bytes: number) => void;
}

/** Nobody counts. */
export const noHooks: PullHooks = { onPullStarted: () => undefined, onPullEnded: () => undefined, onBytes: () => undefined };

type Pull = (reference: string, signal: AbortSignal) => Promise<Image>;

/** The same pull, counted. */
export function countPulls(hooks: PullHooks, pull: Pull): Pull {
  return async (reference, signal) => {
    hooks.onPullStarted();
    try {
      const image = await pull(reference, signal);
      hooks.onPullEnded(undefined);
      return image;
    } catch (error) {
      hooks.onPullEnded(error);
      throw error;
    }
  };
}

/** Counts the bytes of one download, which tells how many it has received so far. */
export function countBytes(hooks: PullHooks): (received: number) => void {
  let counted = 0;
  return (received) => {
    hooks.onBytes(received - counted);
    counted = received;
  };
}
