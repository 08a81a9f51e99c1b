import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { makeSingleFlight } from '../../../src/lib/single-flight.ts';
import { waitFor } from '../../lib/wait.ts';

const never = new AbortController().signal;

describe.each(['cancel', 'finish'] as const)('a single flight (%s)', (whenAbandoned) => {
  it('runs the work of joined calls once; all get its result', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const work = startable<string>();
    const calls = [1, 2, 3].map(async () => flights.run('a', work.run, never));
    expect(flights.running()).toEqual(['a']);
    work.result.resolve('done');
    expect(await Promise.all(calls)).toEqual(['done', 'done', 'done']);
    expect(work.signals).toHaveLength(1);
    expect(flights.running()).toEqual([]);
  });

  it('gives its error to all, and starts anew afterwards', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const work = startable<string>();
    const calls = Promise.allSettled([flights.run('a', work.run, never), flights.run('a', work.run, never)]);
    work.result.reject(new Error('registry away'));
    const rejected = { status: 'rejected', reason: new Error('registry away') };
    expect(await calls).toEqual([rejected, rejected]);
    await expect(flights.run('a', async () => Promise.resolve('again'), never)).resolves.toBe('again');
  });

  it('counts work that throws before it awaits as failed, not as running', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const thrown = flights.run(
      'a',
      () => {
        throw new Error('at once');
      },
      never,
    );
    await expect(thrown).rejects.toThrow('at once');
    expect(flights.running()).toEqual([]);
  });

  it('runs other keys beside each other', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const work = startable<string>();
    const first = flights.run('a', work.run, never);
    await expect(flights.run('b', async () => Promise.resolve('b'), never)).resolves.toBe('b');
    work.result.resolve('a');
    await first;
  });

  it('lets one caller leave alone', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const work = startable<string>();
    const stop = new AbortController();
    const leaves = flights.run('a', work.run, stop.signal);
    const stays = flights.run('a', work.run, never);
    stop.abort(new Error('deadline'));
    await expect(leaves).rejects.toThrow('deadline');
    expect(work.signals[0]?.aborted).toBe(false);
    work.result.resolve('done');
    await expect(stays).resolves.toBe('done');
  });

  it('neither starts nor joins with a signal that is aborted already', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    const work = startable<string>();
    await expect(flights.run('a', work.run, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    expect([work.signals, flights.running()]).toEqual([[], []]);
  });

  it('is settled when the last run is over, also one that was started meanwhile and one that failed', async () => {
    const flights = makeSingleFlight({ whenAbandoned });
    await flights.settled();
    const [first, second] = [startable<string>(), startable<string>()];
    const failed = flights.run('a', first.run, never).catch(() => undefined);
    let settled = false;
    const wait = flights.settled().then(() => (settled = true));
    const late = flights.run('b', second.run, never);
    first.result.reject(new Error('failed'));
    await failed;
    await turn();
    expect(settled).toBe(false);
    second.result.resolve('b');
    await Promise.all([late, wait]);
    expect(settled).toBe(true);
  });
});

describe('a single flight that all callers have left', () => {
  it("is cancelled with the last one's reason ('cancel'), and a new call waits until it has undone its work", async () => {
    const flights = makeSingleFlight({ whenAbandoned: 'cancel' });
    const work = startable<string>();
    const stops = [new AbortController(), new AbortController()] as const;
    const left = Promise.allSettled(stops.map(async ({ signal }) => flights.run('a', work.run, signal)));
    stops[0].abort(new Error('first'));
    await turn();
    expect(work.signals[0]?.aborted).toBe(false);
    stops[1].abort(new Error('last'));
    await left;
    expect(work.signals[0]?.reason).toEqual(new Error('last'));

    const anew = startable<string>();
    const calls = [flights.run('a', anew.run, never), flights.run('a', anew.run, never)];
    await turn();
    expect(anew.signals).toHaveLength(0); // at most one run a key: the first still undoes its work
    work.result.reject(new Error('cancelled'));
    await turn();
    expect(anew.signals).toHaveLength(1);
    anew.result.resolve('second run');
    expect(await Promise.all(calls)).toEqual(['second run', 'second run']);
  });

  it('is kept alive by a call that comes in the moment when the last one leaves', async () => {
    const flights = makeSingleFlight({ whenAbandoned: 'cancel' });
    const work = startable<string>();
    const stop = new AbortController();
    const leaves = flights.run('a', work.run, stop.signal);
    stop.abort(new Error('deadline'));
    const joins = flights.run('a', work.run, never);
    await expect(leaves).rejects.toThrow('deadline');
    expect(work.signals[0]?.aborted).toBe(false);
    work.result.resolve('done');
    await expect(joins).resolves.toBe('done');
  });

  it("goes on ('finish'), and the retry joins it", async () => {
    const flights = makeSingleFlight({ whenAbandoned: 'finish' });
    const work = startable<string>();
    const stop = new AbortController();
    const leaves = flights.run('a', work.run, stop.signal);
    stop.abort(new Error('deadline'));
    await expect(leaves).rejects.toThrow('deadline');
    expect(work.signals[0]?.aborted).toBe(false);
    const retry = flights.run('a', async () => Promise.resolve('a second run'), never);
    work.result.resolve('first run');
    await expect(retry).resolves.toBe('first run');
  });

  it('and that fails then, tells nobody and harms nobody', async () => {
    const flights = makeSingleFlight({ whenAbandoned: 'finish' });
    const work = startable<string>();
    const stop = new AbortController();
    const leaves = flights.run('a', work.run, stop.signal);
    stop.abort(new Error('deadline'));
    await expect(leaves).rejects.toThrow('deadline');
    work.result.reject(new Error('nobody waits for this'));
    await flights.settled();
    expect(flights.running()).toEqual([]);
  });
});

interface Startable<T> {
  readonly run: (signal: AbortSignal) => Promise<T>;
  readonly result: PromiseWithResolvers<T>;
  /** One for each time that it was started. */
  readonly signals: AbortSignal[];
}

function startable<T>(): Startable<T> {
  const result = Promise.withResolvers<T>();
  const signals: AbortSignal[] = [];
  const run = async (signal: AbortSignal): Promise<T> => {
    signals.push(signal);
    return result.promise;
  };
  return { run, result, signals };
}

describe('the result of a run that nobody waits for any more', () => {
  it('is told once, and never when somebody gets it', async () => {
    const { run } = makeSingleFlight({ whenAbandoned: 'finish' });
    const unclaimed: string[] = [];
    const tell = (result: string): void => void unclaimed.push(result);
    const gone = new AbortController();
    const work = Promise.withResolvers<string>();
    const first = run('key', async () => work.promise, gone.signal, tell);
    gone.abort();
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    work.resolve('made');
    await waitFor(() => unclaimed.length === 1, { timeoutMs: 5_000, what: 'the result to be told' });
    expect(unclaimed).toEqual(['made']);

    expect(await run('key', async () => 'taken', new AbortController().signal, tell)).toBe('taken');
    expect(unclaimed).toEqual(['made']);
  });
});
