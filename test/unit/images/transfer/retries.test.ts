import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PullProblem } from '../../../../src/images/failures.ts';
import { backoffMs, usualBackoff } from '../../../../src/images/transfer/backoff.ts';
import { makeRetries, type Retries } from '../../../../src/images/transfer/retries.ts';

const { signal } = new AbortController();
const away = new PullProblem('connection', 'cut');

describe('the wait before the next attempt', () => {
  test('is anything up to a bound that doubles to a longest', () => {
    const almost = 1 - Number.EPSILON;
    expect([1, 2, 3, 4, 5, 6, 60].map((failures) => Math.round(backoffMs(failures, undefined, usualBackoff, almost)))).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
    expect(backoffMs(60, undefined, usualBackoff, 0)).toBe(0);
  });

  test('is never shorter than the server says, nor longer than the longest', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.option(fc.nat(10 ** 9), { nil: undefined }), random, (failures, after, share) => {
        const ms = backoffMs(failures, after, usualBackoff, share);
        expect(ms).toBeGreaterThanOrEqual(Math.min(after ?? 0, usualBackoff.maxRetryAfterMs));
        expect(ms).toBeLessThanOrEqual(Math.max(usualBackoff.maxMs, usualBackoff.maxRetryAfterMs));
      }),
    );
  });
});

function retriesWith(waits: number[], now = (): number => 0): Retries {
  const wait = async (ms: number): Promise<void> => void waits.push(ms);
  return makeRetries({ ...usualBackoff, maxAttempts: 3 }, { random: () => 0.5, now, wait });
}

describe('retries', () => {
  test('end after some attempts without a byte', async () => {
    const waits: number[] = [];
    const failures = retriesWith(waits).begin();
    await failures.after(away, 0, signal);
    await failures.after(away, 0, signal);
    await expect(failures.after(away, 0, signal)).rejects.toBe(away);
    expect(waits).toEqual([500, 1000]);
  });

  test('begin anew with each byte, and follow at once upon plenty', async () => {
    const waits: number[] = [];
    const retries = retriesWith(waits);
    const failures = retries.begin();
    for (const bytes of [0, 0, 5, 0, 0, 2 ** 20, 0, 0]) {
      retries.arrived(bytes);
      await failures.after(away, bytes, signal);
    }
    expect(waits).toEqual([500, 1000, 500, 1000, 2000, 1000, 2000]);
    await expect(failures.after(away, 0, signal)).rejects.toBe(away);
  });

  test('go on, ever slower, while other connections bring bytes', async () => {
    const waits: number[] = [];
    const retries = retriesWith(waits);
    const failures = retries.begin();
    for (let attempt = 0; attempt < 8; attempt += 1) {
      retries.arrived(1);
      await failures.after(away, 0, signal);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  test('heed what the server says, for every connection', async () => {
    const waits: number[] = [];
    let now = 0;
    const retries = retriesWith(waits, () => now);
    const busy = new PullProblem('status', 'busy', { registryAway: true, retryAfterMs: 7000 });
    await retries.begin().after(busy, 2 ** 30, signal);
    now = 3000;
    await retries.ready(signal);
    now = 7000;
    await retries.ready(signal);
    retries.heed(new PullProblem('status', 'busy', { registryAway: true, retryAfterMs: 10 ** 9 }));
    await retries.ready(signal);
    expect(waits).toEqual([7000, 4000, 300_000]);
  });

  test.each([
    ['a status that stays', new PullProblem('status', 'no', { registryAway: false })],
    ['a full disk', Object.assign(new Error('full'), { code: 'ENOSPC' })],
  ])('do not follow upon %s', async (_name, error) => {
    const waits: number[] = [];
    await expect(
      retriesWith(waits)
        .begin()
        .after(error, 2 ** 20, signal),
    ).rejects.toBe(error);
    expect(waits).toEqual([]);
  });

  test('end with the signal, for its reason', async () => {
    const reason = new Error('enough');
    await expect(retriesWith([]).begin().after(away, 0, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
