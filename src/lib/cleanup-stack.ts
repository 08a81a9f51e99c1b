import { setTimeout as delay } from 'node:timers/promises';
import { abandonOnAbort, withTimeout } from './signals.ts';

/** One described step that undoes something. Its signal is fresh: clean-up also works after the caller's deadline has passed. */
type CleanupStep = (signal: AbortSignal) => unknown;

/**
 * What has to be undone when a creation of several steps fails, in words. INVARIANTS: steps run in reverse order, each at most once;
 * a failing step does not stop the others; after `dismiss` nothing runs.
 */
export interface CleanupStack {
  /** Adds a step; `description` completes the sentence "could not ...". */
  readonly add: (description: string, step: CleanupStep) => void;
  /** Forgets all steps: what was made is there to stay. */
  readonly dismiss: () => void;
  /** Runs all steps; answers what could not be undone. Never throws. */
  readonly unwind: () => Promise<readonly CleanupFailure[]>;
}

/** A step that failed each time it was tried. */
export interface CleanupFailure {
  readonly description: string;
  readonly error: unknown;
}

/** Options of a clean-up stack. */
export interface CleanupOptions {
  /** Time for one attempt of one step, after which its signal is aborted; default 30 000 ms. */
  readonly stepTimeoutMs?: number;
  /** Time that a step has to come to its end after that; then it is given up for good and reported. Default 5 000 ms. */
  readonly settleMs?: number;
  /** Attempts for each step; default 3. */
  readonly attempts?: number;
  /** Pause between attempts; default 200 ms. */
  readonly pauseMs?: number;
}

/** Nobody aborts a clean-up but its own time. */
const fresh = new AbortController().signal;

/** Makes an empty clean-up stack. */
export function makeCleanupStack(options: CleanupOptions = {}): CleanupStack {
  const { stepTimeoutMs = 30_000, settleMs = 5_000, attempts = 3, pauseMs = 200 } = options;
  let steps: { description: string; step: CleanupStep }[] = [];

  async function attempt(description: string, step: CleanupStep): Promise<unknown> {
    for (let left = attempts; ; left -= 1) {
      using signal = withTimeout(fresh, stepTimeoutMs, description);
      using patience = withTimeout(fresh, stepTimeoutMs + settleMs, description);
      try {
        await abandonOnAbort(Promise.try(step, signal), patience);
        return undefined;
      } catch (error) {
        // A step that does not end at all is not run again beside itself.
        if (left <= 1 || patience.aborted) return error ?? new Error('unknown failure');
        await delay(pauseMs);
      }
    }
  }

  return {
    add: (description, step) => void steps.push({ description, step }),
    dismiss: () => void (steps = []),
    unwind: async () => {
      const failures: CleanupFailure[] = [];
      for (let next = steps.pop(); next; next = steps.pop()) {
        const error = await attempt(next.description, next.step);
        if (error !== undefined) failures.push({ description: next.description, error });
      }
      return failures;
    },
  };
}
