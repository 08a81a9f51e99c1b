import { expect, test } from 'vitest';
import { makeTurns } from '../../../src/logs/turns.ts';

test('takes so many at once, in order, and goes on after a failure', async () => {
  const turns = makeTurns(2);
  const started: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<number>());
  const results = gates.map(async (gate, index) =>
    turns(async () => {
      started.push(index);
      return gate.promise;
    }),
  );
  const outcome = Promise.allSettled(results);
  await Promise.resolve();
  expect(started).toEqual([0, 1]);
  gates[1]?.reject(new Error('failed'));
  await expect(results[1]).rejects.toThrow('failed');
  expect(started).toEqual([0, 1, 2]);
  gates[0]?.resolve(10);
  gates[2]?.resolve(12);
  gates[3]?.resolve(13);
  expect((await outcome).map((one) => (one.status === 'fulfilled' ? one.value : 'failed'))).toEqual([10, 'failed', 12, 13]);
  expect(await turns(async () => Promise.resolve('free again'))).toBe('free again');
});
