import { expect, test } from 'vitest';
import { makeGrowth } from '../../../../src/images/layer/growth.ts';

const never = new AbortController().signal;

test('whoever waits is told when there is enough', async () => {
  const growth = makeGrowth();
  const told: string[] = [];
  const waits = growth.until(() => growth.availableBytes() >= 10, never).then(() => told.push('enough'));
  for (const bytes of [3, 9, 5]) growth.advance(bytes);
  await Promise.resolve();
  expect(told).toEqual([]);
  expect(growth.availableBytes()).toBe(9);
  growth.advance(12);
  await waits;
  expect(told).toEqual(['enough']);
  await growth.until(() => true, never);
});

test('the end is enough for all', async () => {
  const growth = makeGrowth();
  const waits = growth.until(() => false, never);
  growth.finish(7);
  await waits;
  await growth.until(() => false, never);
  expect([growth.availableBytes(), growth.totalBytes()]).toEqual([7, 7]);
});

test('an abort ends the wait with its reason', async () => {
  const growth = makeGrowth();
  const controller = new AbortController();
  const waits = growth.until(() => false, controller.signal);
  controller.abort(new Error('enough'));
  await expect(waits).rejects.toThrow('enough');
  await expect(growth.until(() => true, controller.signal)).rejects.toThrow('enough');
});
