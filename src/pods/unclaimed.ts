import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';

/** What was made for callers that had gone when it was done. */
export interface Unclaimed {
  /** It is undone after a while, unless somebody asks for it. */
  readonly note: (id: string, undo: (signal: AbortSignal) => Promise<void>) => void;
  /** Somebody asked for it: it stays. What was never noted is fine. */
  readonly claim: (id: string) => void;
  /** Forgets everything; what was noted stays. */
  readonly close: () => void;
}

const undoTimeoutMs = 120_000;

/**
 * Keeps what nobody has claimed for `afterMs`: a kubelet whose call has timed out comes back within minutes, finds what was made in a list
 * or by the same call, and asks for it by its id. A restart of the daemon forgets; then a kubelet's own clean-up ends what it does not know.
 */
export function makeUnclaimed(options: { readonly afterMs: number }, { log }: { readonly log: Log }): Unclaimed {
  const timers = new Map<string, NodeJS.Timeout>();

  function claim(id: string): void {
    clearTimeout(timers.get(id));
    timers.delete(id);
  }

  return {
    note: (id, undo) => {
      claim(id);
      const timer = setTimeout(() => {
        timers.delete(id);
        log.warn({ id }, 'nobody came back for what a call had made; it is undone');
        undo(AbortSignal.timeout(undoTimeoutMs)).catch((error: unknown) => {
          log.error({ id, error: messageOf(error) }, 'what nobody came back for could not be undone');
        });
      }, options.afterMs);
      timers.set(id, timer.unref());
    },
    claim,
    close: () => {
      for (const id of timers.keys()) claim(id);
    },
  };
}
