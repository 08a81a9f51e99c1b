import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { makeReleases, type Releases } from '../../../src/network/releases.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const options = { firstPauseMs: 1_000, longestPauseMs: 10_000 };

it('waits twice as long after each failure, to an end, and stops when it is done', async () => {
  const tries: number[] = [];
  const releases: Releases = makeReleases(options, {
    log: silentLog,
    release: async () => {
      tries.push(Date.now() - began);
      if (tries.length === 6) return;
      releases.later('a', tries.length + 1);
      await Promise.reject(new Error('not yet'));
    },
  });
  const began = Date.now();
  releases.later('a', 1);
  releases.later('a', 1);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(tries).toEqual([1_000, 3_000, 7_000, 15_000, 25_000, 35_000]);
  expect(releases.pending()).toEqual([]);
});

it('tries four at a time, each once', async () => {
  const ends: (() => void)[] = [];
  const tried: string[] = [];
  const releases = makeReleases(options, {
    log: silentLog,
    release: async (id) => {
      tried.push(id);
      return new Promise((resolve) => ends.push(resolve));
    },
  });
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const id of ids) releases.later(id, 1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(tried).toEqual(['a', 'b', 'c', 'd']);
  releases.later('a', 1);
  await vi.advanceTimersByTimeAsync(1_000);
  for (const end of ends.splice(0)) end();
  await vi.advanceTimersByTimeAsync(0);
  expect(tried).toEqual([...ids, 'a']);
  for (const end of ends.splice(0)) end();
  await vi.advanceTimersByTimeAsync(0);
  expect(releases.pending()).toEqual([]);
});

it('does not keep a network that has failed once waiting for those whose plugins hang', async () => {
  const tried: string[] = [];
  const releases = makeReleases(options, {
    log: silentLog,
    release: async (id) => {
      tried.push(id);
      if (id.startsWith('hanging')) await Promise.withResolvers<void>().promise;
    },
  });
  for (let count = 1; count <= 20; count++) releases.later(`hanging ${count}`, 5);
  await vi.advanceTimersByTimeAsync(options.longestPauseMs);
  expect(tried).toEqual(['hanging 1', 'hanging 2', 'hanging 3']);
  releases.later('fresh', 1);
  await vi.advanceTimersByTimeAsync(options.firstPauseMs);
  expect(tried.at(-1)).toBe('fresh');
  expect(releases.pending()).toHaveLength(20);
});

it('tries at once what is asked for now, in the place of what waits, and answers when it has been tried', async () => {
  const ends: ((error?: Error) => void)[] = [];
  const releases = makeReleases(options, {
    log: silentLog,
    release: async () => new Promise((resolve, reject) => ends.push((error) => (error ? reject(error) : resolve()))),
  });
  const answers: string[] = [];
  releases.later('a', 1);
  const asked = ['a', 'b', 'c', 'd', 'e'].map(async (id) => releases.now(id, 0).then(() => answers.push(id)));
  await vi.advanceTimersByTimeAsync(0);
  expect(ends).toHaveLength(4);
  ends[0]?.(new Error('not yet'));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(answers).toEqual(['a']);
  expect(releases.pending()).toEqual(['a', 'b', 'c', 'd', 'e']); // one that fails without a word is not forgotten
  releases.close();
  for (const end of ends.slice(1)) end();
  await Promise.all(asked);
  expect(answers.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

it('ends with the daemon', async () => {
  const signals: AbortSignal[] = [];
  const releases = makeReleases(options, {
    log: silentLog,
    release: async (_id, signal) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('closed'))));
    },
  });
  releases.later('a', 1);
  releases.later('b', 5);
  await vi.advanceTimersByTimeAsync(1_000);
  releases.close();
  releases.later('c', 1);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  expect(releases.pending()).toEqual([]);
});
