import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import { makeSampler, type Sampler } from '../../../src/pods/sampler.ts';

interface Scene {
  readonly sampler: Sampler;
  /** Keys in the order in which their samples began. */
  readonly begun: string[];
  /** What is to be sampled. */
  readonly keys: Set<string>;
  /** Samples that fail. */
  readonly failing: Set<string>;
  /** Samples that last until their promise resolves. */
  readonly holding: Map<string, Promise<void>>;
  readonly warnings: object[];
  /** Most samples that were under way at once. */
  readonly most: () => number;
}

function scene(...names: readonly string[]): Scene {
  const [begun, warnings]: [string[], object[]] = [[], []];
  const [keys, failing, holding] = [new Set(names), new Set<string>(), new Map<string, Promise<void>>()];
  let [now, most] = [0, 0];
  const log: Log = { ...silentLog, warn: (facts) => void warnings.push(facts) };
  const sampler = makeSampler(
    { periodMs: 1_000, atOnce: 2 },
    {
      keys: () => keys,
      sample: async (key) => {
        begun.push(key);
        now += 1;
        most = Math.max(most, now);
        await (holding.get(key) ?? Promise.resolve());
        now -= 1;
        if (failing.has(key)) throw new Error(`no ${key}`);
      },
      log,
    },
  );
  return { sampler, begun, keys, failing, holding, warnings, most: () => most };
}

describe('the sampler', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('samples everything at its start and once a period, few at a time', async () => {
    const { sampler, begun, keys, most } = scene('a', 'b', 'c', 'd', 'e');
    await sampler.start();
    expect(begun.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(most()).toBe(2);
    keys.delete('a');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun.slice(5).toSorted()).toEqual(['b', 'c', 'd', 'e']);
    await vi.advanceTimersByTimeAsync(999);
    expect(begun).toHaveLength(9);
    await sampler.stop();
  });

  it('goes on when one fails, and tells of it once until it succeeds again', async () => {
    const { sampler, begun, failing, warnings } = scene('a', 'b', 'c');
    failing.add('a').add('b');
    await sampler.start();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(begun.filter((key) => key === 'c')).toHaveLength(3);
    expect(begun.filter((key) => key === 'a')).toHaveLength(3);
    expect(warnings).toEqual([
      { key: 'a', error: 'no a' },
      { key: 'b', error: 'no b' },
    ]);
    failing.delete('a');
    await vi.advanceTimersByTimeAsync(1_000);
    failing.add('a');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(warnings).toHaveLength(3);
    await sampler.stop();
  });

  it('waits for a slow one in its place, and begins no pass beside another', async () => {
    const { sampler, begun, holding } = scene('slow', 'b', 'c');
    const slow = Promise.withResolvers<void>();
    holding.set('slow', slow.promise);
    const started = sampler.start();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(begun).toEqual(['slow', 'b', 'c']);
    slow.resolve();
    await started;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun).toHaveLength(6);
    await sampler.stop();
  });

  it('samples one on request after the sample under way, which may have begun too early', async () => {
    const { sampler, begun, holding } = scene();
    const first = Promise.withResolvers<void>();
    holding.set('a', first.promise);
    sampler.begin('a');
    await vi.advanceTimersByTimeAsync(0);
    sampler.begin('a');
    const second = sampler.underWay('a');
    await vi.advanceTimersByTimeAsync(100);
    expect(begun).toEqual(['a']);
    holding.delete('a');
    first.resolve();
    await second;
    expect(begun).toEqual(['a', 'a']);
    await vi.advanceTimersByTimeAsync(0);
    expect(sampler.underWay('a')).toBeUndefined();
  });

  it('does nothing any more once it is stopped, and has waited for what was under way', async () => {
    const { sampler, begun, holding } = scene('a');
    await sampler.start();
    const last = Promise.withResolvers<void>();
    holding.set('a', last.promise);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun).toHaveLength(2);
    let isStopped = false;
    const stop = sampler.stop().then(() => {
      isStopped = true;
    });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(isStopped).toBe(false);
    last.resolve();
    await stop;
    sampler.begin('a');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(begun).toHaveLength(2);
  });
});
