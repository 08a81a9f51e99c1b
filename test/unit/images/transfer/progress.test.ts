import { expect, test } from 'vitest';
import { throttleProgress, type PullProgress } from '../../../../src/images/transfer/progress.ts';

test('progress is told at most four times a second, and the end always', () => {
  const told: PullProgress[] = [];
  let now = 0;
  const report = throttleProgress(
    'a',
    (progress) => told.push(progress),
    () => now,
  );
  for (; now < 1000; now += 10) report(now + 1, 2000);
  expect(told.length).toBe(4);
  report(2000, 2000);
  expect(told.at(-1)).toEqual({ reference: 'a', receivedBytes: 2000, totalBytes: 2000 });
});
