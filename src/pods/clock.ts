/** Tells the time as CRI wants it. */
export interface Clock {
  /** Unix time in nanoseconds, strictly rising within this process and above everything in `notBefore`: creation times order attempts. */
  readonly nowNs: () => bigint;
}

/** A strictly rising clock; `notBefore` is the newest time on record, so that a clock that was set back breaks no order. */
export function makeClock(notBefore: bigint): Clock {
  let last = notBefore;
  return {
    nowNs: () => {
      const now = BigInt(Date.now()) * 1_000_000n;
      last = now > last ? now : last + 1n;
      return last;
    },
  };
}
