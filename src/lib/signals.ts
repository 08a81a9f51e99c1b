import { setTimeout as delay } from 'node:timers/promises';

/** The longest that a timer of Node's can wait, 24 days; it fires at once for more. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * A signal that aborts with `signal` or after `timeoutMs` (reason: a `TimeoutError` whose message says what took too long). A time over
 * 2^31-1 ms (24 days) counts as that.
 */
export function withTimeout(signal: AbortSignal, timeoutMs: number, what: string): AbortSignal & Disposable {
  const linked = linkedController(signal);
  const waitMs = Math.min(timeoutMs, longestTimerMs);
  const timer = setTimeout(() => {
    linked.abort(new DOMException(`${what} took longer than ${waitMs} ms`, 'TimeoutError'));
  }, waitMs);
  const dispose = (): void => {
    clearTimeout(timer);
    linked[Symbol.dispose]();
  };
  return Object.assign(linked.signal, { [Symbol.dispose]: dispose });
}

/** A controller whose signal the outer one aborts too; disposing lets go of the outer one. */
export interface LinkedController extends Disposable {
  readonly signal: AbortSignal;
  readonly abort: (reason: unknown) => void;
}

/** Links a new controller to a signal. */
export function linkedController(outer: AbortSignal): LinkedController {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(outer.reason);
  if (outer.aborted) onAbort();
  else outer.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: () => outer.removeEventListener('abort', onAbort),
  };
}

/** Waits so many milliseconds. Throws the signal's reason when it is aborted first. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** Waits for `work`, but throws the signal's reason as soon as it is aborted; `work` itself goes on, and may fail untold. */
export async function abandonOnAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) work.catch(() => undefined); // else its rejection would be unhandled, which ends the process
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
