import { PullProblem } from '../failures.ts';
import { backoffMs, type BackoffOptions } from './backoff.ts';

/** When to try again. */
export interface RetryOptions extends BackoffOptions {
  /** Attempts in a row without a byte after which we give up. */
  readonly maxAttempts: number;
}

/** A failure after which we try again, for logs. */
export interface RetryNotice {
  readonly problem: PullProblem;
  readonly delayMs: number;
}

/** What retries work with. */
export interface RetryDeps {
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Waits, or throws when the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
}

/** Failures of one connection in a row. */
export interface Failures {
  /** Waits before the next attempt; `newBytes` is what the failed one brought. Throws the error when another attempt is of no use, or the signal's reason. */
  readonly after: (error: unknown, newBytes: number, signal: AbortSignal) => Promise<void>;
}

/** What the connections of one download share. */
export interface Retries {
  /** Bytes that we did not have came over some connection. */
  readonly arrived: (bytes: number) => void;
  /** Waits until the server wants to be asked again. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  /** Keeps in mind when the server wants to be asked again. */
  readonly heed: (problem: PullProblem) => void;
  /** Waits as after the `step`th failure in a row; not at all for 0. */
  readonly pause: (problem: PullProblem, step: number, signal: AbortSignal) => Promise<void>;
  readonly begin: () => Failures;
}

const plentyBytes = 2 ** 20;

/**
 * Makes the retries of one download. An attempt is in vain when no connection brought a byte since this one's last failure: a server that
 * refuses a fourth connection while three are at work does not end the pull. After an attempt that brought plenty the next one follows at once.
 */
export function makeRetries(options: RetryOptions, deps: RetryDeps): Retries {
  let arrivedBytes = 0;
  let notBefore = -Infinity;

  function heed({ retryAfterMs }: PullProblem): void {
    if (retryAfterMs !== undefined) notBefore = Math.max(notBefore, deps.now() + Math.min(retryAfterMs, options.maxRetryAfterMs));
  }

  async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    try {
      if (ms > 0) await deps.wait(ms, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  async function pause(problem: PullProblem, step: number, signal: AbortSignal): Promise<void> {
    heed(problem);
    const delayMs = step === 0 ? 0 : backoffMs(step, problem.retryAfterMs, options, deps.random());
    deps.onRetry?.({ problem, delayMs });
    await waitFor(delayMs, signal);
  }

  function begin(): Failures {
    let step = 0;
    let inVain = 0;
    let seenBytes = arrivedBytes;
    return {
      after: async (error, newBytes, signal) => {
        signal.throwIfAborted();
        inVain = arrivedBytes > seenBytes ? 0 : inVain + 1;
        seenBytes = arrivedBytes;
        step = newBytes > 0 ? 1 : step + 1;
        if (!mayTryAgain(error) || inVain >= options.maxAttempts) throw error;
        await pause(error, newBytes >= plentyBytes && error.retryAfterMs === undefined ? 0 : step, signal);
      },
    };
  }

  return {
    arrived: (bytes) => void (arrivedBytes += bytes),
    ready: async (signal) => waitFor(notBefore - deps.now(), signal),
    heed,
    pause,
    begin,
  };
}

/** Whether the same request may succeed later. */
export function mayTryAgain(error: unknown): error is PullProblem {
  return error instanceof PullProblem && (error.registryAway || error.kind === 'stalled');
}
