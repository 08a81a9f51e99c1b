/** How much of a blob is there: told by whoever writes it, awaited by whoever reads it. */
export interface Growth {
  /** The first `bytes` bytes are there; fewer than before are not heard. */
  readonly advance: (bytes: number) => void;
  /** The blob is whole. */
  readonly finish: (totalBytes: number) => void;
  readonly availableBytes: () => number;
  /** `undefined` until the blob is whole. */
  readonly totalBytes: () => number | undefined;
  /** Waits until `enough()` or until the blob is whole. Throws the signal's reason. */
  readonly until: (enough: () => boolean, signal: AbortSignal) => Promise<void>;
}

/** Makes the knowledge of a blob of which nothing is there yet. */
export function makeGrowth(): Growth {
  let available = 0;
  let total: number | undefined;
  let change = Promise.withResolvers<void>();

  function changed(): void {
    change.resolve();
    change = Promise.withResolvers<void>();
  }

  async function until(enough: () => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (total !== undefined || enough()) return;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (total === undefined && !enough()) await Promise.race([change.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  return {
    advance: (bytes) => {
      if (bytes <= available) return;
      available = bytes;
      changed();
    },
    finish: (totalBytes) => {
      [available, total] = [totalBytes, totalBytes];
      changed();
    },
    availableBytes: () => available,
    totalBytes: () => total,
    until,
  };
}
