import { setTimeout as delay } from 'node:timers/promises';

/** How long to poll and what for; `what` is named in the error. */
export interface WaitOptions {
  readonly timeoutMs: number;
  readonly what: string;
  readonly everyMs?: number;
}

/** Polls `probe` until it answers something other than `undefined` or `false`; throws with `what` and the last error after `timeoutMs`. */
export async function waitFor<T>(probe: () => T | Promise<T>, options: WaitOptions): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + options.timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`no ${options.what} within ${options.timeoutMs} ms`, { cause: last });
    await delay(options.everyMs ?? 50);
  }
}
