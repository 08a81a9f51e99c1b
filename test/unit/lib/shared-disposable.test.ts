import { expect, test } from 'vitest';
import { shareDisposable } from '../../../src/lib/shared-disposable.ts';

test('a shared resource is disposed of once, when its last holder lets go', () => {
  let disposals = 0;
  const { hold } = shareDisposable({ [Symbol.dispose]: () => void (disposals += 1) });
  const [first, second] = [hold(), hold()];
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(disposals).toBe(0);
  second[Symbol.dispose]();
  expect(disposals).toBe(1);
});
