import { expect, test } from 'vitest';
import { nextRelease } from '../../../src/network/release-order.ts';

/** The order in which all that is due is begun, given how often each has failed, while nothing comes to its end. */
function begun(due: Readonly<Record<string, number>>, running: Readonly<Record<string, number>>): readonly string[] {
  const left = Object.entries(due).map(([sandboxId, failures]) => ({ sandboxId, failures }));
  const at = new Map(Object.entries(running));
  const order: string[] = [];
  for (let next = nextRelease(left, at); next !== undefined; next = nextRelease(left, at)) {
    left.splice(left.indexOf(next), 1);
    at.set(next.sandboxId, next.failures);
    order.push(next.sandboxId);
  }
  return order;
}

test.each<readonly [string, readonly string[], Readonly<Record<string, number>>, Readonly<Record<string, number>>]>([
  ['in the order that they came', ['a', 'b', 'c'], { a: 1, b: 1, c: 1 }, {}],
  ['those first that have failed least', ['d', 'b', 'c', 'a'], { a: 9, b: 1, c: 2, d: 0 }, {}],
  ['four at a time', ['a', 'b', 'c', 'd'], { a: 0, b: 0, c: 0, d: 1, e: 1 }, {}],
  ['three that have failed more than once', ['a', 'b', 'c'], { a: 2, b: 2, c: 2, d: 2, e: 2 }, {}],
  ['one more that has failed once', ['e'], { d: 2, e: 1 }, { a: 3, b: 3, c: 3 }],
  ['none while all places are taken', [], { e: 0 }, { a: 0, b: 3, c: 3, d: 3 }],
  ['none that is still being tried', ['b'], { a: 0, b: 1 }, { a: 1 }],
])('begins %s', (_what, order, due, running) => {
  expect(begun(due, running)).toEqual(order);
});
