/** A signal that aborts with `signal` or after `timeoutMs` (reason: a `TimeoutError` whose message says what took too long). */
export function withTimeout(signal: AbortSignal, timeoutMs: number, what: string): AbortSignal & Disposable {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(new DOMException(`${what} took longer than ${timeoutMs} ms`, 'TimeoutError'));
  }, timeoutMs);
  const onAbort = (): void => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const dispose = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };
  return Object.assign(controller.signal, { [Symbol.dispose]: dispose });
}

/** Waits for `work`, but throws the signal's reason as soon as it is aborted; `work` itself goes on. */
export async function abandonOnAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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
