import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { nextRelease, type DueRelease } from './release-order.ts';

/** How networks that could not be released are tried again. */
export interface ReleasesOptions {
  /** Pause before the first try, milliseconds; it doubles with each failure, to at most `longestPauseMs`. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

/** What it works with. */
export interface ReleasesDeps {
  /** Releases the network of a sandbox; throws when it fails. */
  readonly release: (sandboxId: string, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/** Networks that could not be released, tried again in the background until they are. */
export interface Releases {
  /** Tries again after a pause that follows from the number of failures; a sandbox that waits already keeps its turn. */
  readonly later: (sandboxId: string, failures: number) => void;
  /** Tries as soon as there is a place; answers when it has been tried, or at once when all has been closed. Throws nothing. */
  readonly now: (sandboxId: string, failures: number) => Promise<void>;
  /** Sandboxes that wait or are being tried. */
  readonly pending: () => readonly string[];
  /** Ends what runs and forgets what waits: the next start of the daemon finds it on record. */
  readonly close: () => void;
}

/** Longest try, milliseconds: five plugins that hang for the default of `cni.timeout`. One that is cut off is counted and tried again. */
const tryTimeoutMs = 300_000;

/**
 * Makes the background work; nothing is tried before something is told.
 * INVARIANTS: a sandbox waits or is being tried at most once; `nextRelease` says how many are being tried, and which comes next. A try that
 * fails again tells so itself (`later`), since whoever counts the failures is the one who releases; one that did not get its turn among
 * others in time is no failure, and is tried again.
 */
export function makeReleases({ firstPauseMs, longestPauseMs }: ReleasesOptions, { release, log }: ReleasesDeps): Releases {
  const waiting = new Map<string, NodeJS.Timeout>();
  const due: (DueRelease & { readonly tried: () => void })[] = [];
  const running = new Map<string, number>();
  const closing = new AbortController();

  function later(sandboxId: string, failures: number): void {
    if (closing.signal.aborted || waiting.has(sandboxId) || due.some((turn) => turn.sandboxId === sandboxId)) return;
    const pauseMs = Math.min(firstPauseMs * 2 ** Math.max(0, failures - 1), longestPauseMs);
    waiting.set(sandboxId, setTimeout(() => void now(sandboxId, failures), pauseMs).unref());
  }

  async function now(sandboxId: string, failures: number): Promise<void> {
    if (closing.signal.aborted) return;
    clearTimeout(waiting.get(sandboxId));
    waiting.delete(sandboxId);
    const { promise, resolve } = Promise.withResolvers<void>();
    due.push({ sandboxId, failures, tried: resolve });
    next();
    await promise;
  }

  function next(): void {
    const turn = nextRelease(due, running);
    if (turn === undefined) return;
    due.splice(due.indexOf(turn), 1);
    running.set(turn.sandboxId, turn.failures);
    void attempt(turn).finally(() => {
      running.delete(turn.sandboxId);
      turn.tried();
      next();
    });
    next();
  }

  async function attempt({ sandboxId, failures }: DueRelease): Promise<void> {
    try {
      await release(sandboxId, AbortSignal.any([closing.signal, AbortSignal.timeout(tryTimeoutMs)]));
    } catch (error) {
      if (!closing.signal.aborted) log.warn({ sandboxId, error: messageOf(error) }, 'network still not released');
      later(sandboxId, failures);
    }
  }

  return {
    later,
    now,
    pending: () => [...new Set([...waiting.keys(), ...due.map(({ sandboxId }) => sandboxId), ...running.keys()])],
    close: () => {
      closing.abort();
      for (const timer of waiting.values()) clearTimeout(timer);
      waiting.clear();
      for (const { tried } of due.splice(0)) tried();
    },
  };
}
