import { abandonOnAbort } from './signals.ts';

/**
 * Joins calls for the same key: the first starts the work, the others wait for the same result.
 * INVARIANTS: at most one run a key at a time; a joiner that is aborted leaves alone, the work goes on for the others.
 */
export interface SingleFlight {
  /**
   * Runs `work` for `key`, or joins the run under way. The signal given to `work` is aborted when every caller has gone
   * (`whenAbandoned: 'cancel'`, for pulls) or never by callers (`'finish'`, for what a retry will ask for again).
   */
  readonly run: <T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) => Promise<T>;
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

/** Options of a single flight. */
export interface SingleFlightOptions {
  /** See `SingleFlight.run`. */
  readonly whenAbandoned: 'cancel' | 'finish';
  /** Told of the result of a run that came to its end when every caller had gone. */
  readonly onUnclaimed?: (key: string, result: unknown) => void;
}

/** Makes a single flight; nothing runs yet. */
export function makeSingleFlight(options: SingleFlightOptions): SingleFlight {
  const flights = new Map<string, Flight>();

  function launch<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Flight {
    const controller = new AbortController();
    const promise = Promise.try(work, controller.signal).finally(() => flights.delete(key));
    const flight = { promise, controller, waiting: 0 };
    promise.then(
      (result) => {
        if (flight.waiting === 0) options.onUnclaimed?.(key, result);
      },
      () => undefined, // each waiter sees the error; a run that nobody waits for any more has no one to tell
    );
    flights.set(key, flight);
    return flight;
  }

  async function run<T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    for (let flight = flights.get(key); flight?.controller.signal.aborted; flight = flights.get(key)) {
      await abandonOnAbort(
        flight.promise.catch(() => undefined),
        signal,
      ); // a cancelled run is still undoing its work: wait, then start anew
    }
    const flight = flights.get(key) ?? launch(key, work);
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
