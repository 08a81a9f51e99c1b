import { linkedController } from '../../lib/signals.ts';
import { PullProblem } from '../failures.ts';

/** A signal that aborts when nothing has moved for a while. */
export interface StallWatch extends Disposable {
  /** Aborts with the outer signal's reason or with a `PullProblem` of kind `stalled`. */
  readonly signal: AbortSignal;
  /** Something moved: the time begins anew, also after `pause`. */
  readonly touch: () => void;
  /** What is waited for now is not the server, such as our own disk: no time passes until the next `touch`. */
  readonly pause: () => void;
}

/** Watches one download: `stallTimeoutMs` without a `touch` ends it, however long the whole takes. */
export function watchForStall(stallTimeoutMs: number, what: string, outer: AbortSignal): StallWatch {
  const linked = linkedController(outer);
  let isPaused = false;
  const timer = setTimeout(() => {
    if (isPaused) timer.refresh();
    else linked.abort(new PullProblem('stalled', `${what}: nothing received for ${stallTimeoutMs} ms`));
  }, stallTimeoutMs);
  return {
    signal: linked.signal,
    touch: () => {
      isPaused = false;
      timer.refresh();
    },
    pause: () => void (isPaused = true),
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      linked[Symbol.dispose]();
    },
  };
}
