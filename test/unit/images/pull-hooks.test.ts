import { expect, test } from 'vitest';
import { countPending, noHooks } from '../../../src/images/pull-hooks.ts';

test('what a download has yet to bring falls, grows when it begins anew, and is nothing at its end', () => {
  const told: number[] = [];
  {
    using pending = countPending({ ...noHooks, onPending: (bytes) => void told.push(bytes) });
    for (const [have, total] of [
      [0, undefined],
      [10, 100],
      [40, 100],
      [40, 100],
      [0, 100],
      [60, 100],
    ] as const)
      pending.progress(have, total);
  }
  expect(told).toEqual([90, -30, 40, -60, -40]);
  expect(told.reduce((sum, bytes) => sum + bytes, 0)).toBe(0);
});
