import { expect, it } from 'vitest';
import { spawnTurn } from '../../../src/lib/spawn-turn.ts';

it('gives a turn to one caller in each turn of the event loop, in order', async () => {
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const order: { readonly caller: number; readonly turn: number }[] = [];
  await Promise.all([0, 1, 2, 3].map(async (caller) => spawnTurn().then(() => order.push({ caller, turn: turns }))));
  counting = false;
  expect(order.map(({ caller }) => caller)).toEqual([0, 1, 2, 3]);
  expect(new Set(order.map(({ turn }) => turn)).size).toBe(4);
});
