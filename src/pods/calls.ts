import type { Log } from '../lib/log.ts';
import { withTimeout } from '../lib/signals.ts';
import { makeSingleFlight } from '../lib/single-flight.ts';
import { useCaseTimeoutMs } from './context.ts';
import { makeUnclaimed } from './unclaimed.ts';

/**
 * Calls of a kubelet on their way. INVARIANTS: one run at a time for the same key, whoever asks again joins it; a run goes on when its caller
 * has gone, so that a retry finds the run or its result.
 */
export interface Calls {
  /** Runs `work` within the longest time of a use case and `extraMs`, or joins the run under way. */
  readonly join: <T>(call: Call, work: (signal: AbortSignal) => Promise<T>, extraMs?: number) => Promise<T>;
  /** The same for work that makes something and answers its id: what nobody has come back for is undone after a while. */
  readonly make: (call: Call, work: (signal: AbortSignal) => Promise<string>, undo: Undo) => Promise<string>;
  /** Tells that somebody has named this: it is not undone. Answers it. */
  readonly claimed: <T extends { readonly id: string } | string | undefined>(named: T) => T;
  /** Resolves when no run is under way. */
  readonly settled: () => Promise<void>;
  /** What nobody has come back for stays. */
  readonly close: () => void;
}

/** Who asks for what. */
export interface Call {
  /** `verb subject`. */
  readonly key: string;
  readonly signal: AbortSignal;
}

type Undo = (id: string, signal: AbortSignal) => Promise<void>;

/** `unclaimedMs`: how long something is kept that nobody has come back for. */
export function makeCalls(options: { readonly unclaimedMs: number }, deps: { readonly log: Log }): Calls {
  const unclaimed = makeUnclaimed({ afterMs: options.unclaimedMs }, deps);
  const flights = makeSingleFlight({ whenAbandoned: 'finish' });

  function claimed<T extends { readonly id: string } | string | undefined>(named: T): T {
    if (named !== undefined) unclaimed.claim(typeof named === 'string' ? named : named.id);
    return named;
  }

  return {
    join: async ({ key, signal }, work, extraMs = 0) => flights.run(key, bounded(key, work, extraMs), signal),
    make: async ({ key, signal }, work, undo) => {
      const forgotten = (id: string): void => unclaimed.note(id, async (fresh) => undo(id, fresh));
      return claimed(await flights.run(key, bounded(key, work, 0), signal, forgotten));
    },
    claimed,
    settled: flights.settled,
    close: unclaimed.close,
  };
}

function bounded<T>(key: string, work: (signal: AbortSignal) => Promise<T>, extraMs: number): (forever: AbortSignal) => Promise<T> {
  return async (forever) => {
    using within = withTimeout(forever, useCaseTimeoutMs + extraMs, key.split(' ')[0] ?? key);
    return await work(within);
  };
}
