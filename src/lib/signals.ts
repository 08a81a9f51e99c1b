/** The longest that a timer of Node's can wait, 24 days; it fires at once for more. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * A signal that aborts with `signal` or after `timeoutMs` (reason: a `TimeoutError` whose message says what took too long). A time over
 * 2^31-1 ms (24 days) counts as that.
 */
export function withTimeout(signal: AbortSignal, timeoutMs: number, what: string): AbortSignal & Disposable {
  const controller = new AbortController();
  const waitMs = Math.min(timeoutMs, longestTimerMs);
  const timer = setTimeout(() => {
    controller.abort(new DOMException(`${what} took longer than ${waitMs} ms`, 'TimeoutError'));
  }, waitMs);
  const onAbort = (): void => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const dispose = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };
  return Object.assign(controller.signal, { [Symbol.dispose]: dispose });
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
