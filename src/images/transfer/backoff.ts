/** How long to wait between attempts. */
export interface BackoffOptions {
  /** Longest wait after the first failure, milliseconds; doubles with each. */
  readonly baseMs: number;
  /** Longest wait, milliseconds. */
  readonly maxMs: number;
  /** Longest wait that a server may ask for, milliseconds. */
  readonly maxRetryAfterMs: number;
}

/** Defaults: a second to half a minute, five minutes where the server asks for it. */
export const usualBackoff: BackoffOptions = { baseMs: 1000, maxMs: 30_000, maxRetryAfterMs: 300_000 };

/**
 * Milliseconds before the next attempt: anything up to a bound that doubles (full jitter, so that many nodes do not come back at once), and not before
 * the server said. `failures` >= 1; `random` in [0, 1).
 */
export function backoffMs(failures: number, retryAfterMs: number | undefined, options: BackoffOptions, random: number): number {
  const bound = Math.min(options.maxMs, options.baseMs * 2 ** (failures - 1));
  return Math.max(random * bound, Math.min(retryAfterMs ?? 0, options.maxRetryAfterMs));
}
