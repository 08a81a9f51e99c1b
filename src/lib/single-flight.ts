import { abandonOnAbort } from './signals.ts';

type Work<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Joins calls for the same key: the first starts the work, the others wait for the same result.
 * INVARIANTS: at most one run a key at a time; a joiner that is aborted leaves alone, the work goes on for the others.
 */
export interface SingleFlight {
  /**
   * Runs `work` for `key`, or joins the run under way. The signal given to `work` is aborted when every caller has gone
   * (`whenAbandoned: 'cancel'`, for pulls) or never by callers (`'finish'`, for what a retry will ask for again). `unclaimed`, the first
   * caller's, is told the result of a run that has come to its end when every caller had gone.
   */
  readonly run: <T>(key: string, work: Work<T>, signal: AbortSignal, unclaimed?: (result: T) => void) => Promise<T>;
  /** Keys with a run under way. */
  readonly running: () => readonly string[];
  /** Resolves when no run is under way. */
  readonly settled: () => Promise<void>;
}

interface Flight {
  readonly promise: Promise<unknown>;
  readonly controller: AbortController;
  waiting: number;
}

/** Makes a single flight; see `SingleFlight.run` for `whenAbandoned`. */
export function makeSingleFlight(options: { readonly whenAbandoned: 'cancel' | 'finish' }): SingleFlight {
  const flights = new Map<string, Flight>();

  function launch<T>(key: string, work: Work<T>, unclaimed?: (result: T) => void): Flight {
    const controller = new AbortController();
    const promise = Promise.try(work, controller.signal).finally(() => flights.delete(key));
    const flight = { promise, controller, waiting: 0 };
    promise.then(
      (result) => {
        if (flight.waiting === 0) unclaimed?.(result);
      },
      () => undefined, // each waiter sees the error; a run that nobody waits for any more has no one to tell
    );
    flights.set(key, flight);
    return flight;
  }

  async function run<T>(key: string, work: Work<T>, signal: AbortSignal, unclaimed?: (result: T) => void): Promise<T> {
    signal.throwIfAborted();
    for (let flight = flights.get(key); flight?.controller.signal.aborted; flight = flights.get(key)) {
      await abandonOnAbort(
        flight.promise.catch(() => undefined),
        signal,
      ); // a cancelled run is still undoing its work: wait, then start anew
    }
    const flight = flights.get(key) ?? launch(key, work, unclaimed);
    flight.waiting += 1;
    try {
      return (await abandonOnAbort(flight.promise, signal)) as T;
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0 && signal.aborted && options.whenAbandoned === 'cancel') flight.controller.abort(signal.reason);
    }
  }

  async function settled(): Promise<void> {
    while (flights.size > 0) await Promise.allSettled([...flights.values()].map(async (flight) => flight.promise));
  }

  return { run, running: () => [...flights.keys()], settled };
}
