import { expect, it } from 'vitest';
import { makeSharedLock } from '../../../src/lib/shared-lock.ts';
import { waitFor } from '../../lib/wait.ts';

const never = new AbortController().signal;
const hour = 3_600_000;

/** Work that ends when it is told to, and writes down when it began. */
function step(name: string, log: string[]): { work: () => Promise<void>; end: () => void } {
  const ended = Promise.withResolvers<void>();
  const work = async (): Promise<void> => {
    log.push(name);
    return ended.promise;
  };
  return { work, end: ended.resolve };
}
const turns = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('lets shared work run side by side, and what runs alone wait for all of it, and keep work out once it runs', async () => {
  const lock = makeSharedLock();
  const log: string[] = [];
  const [a, b, alone, c] = ['a', 'b', 'alone', 'c'].map((name) => step(name, log));
  if (!a || !b || !alone || !c) throw new Error('four steps');
  const all = [lock.share(a.work, never), lock.alone(alone.work), lock.share(b.work, never)];
  await turns();
  expect(log).toEqual(['a', 'b']);
  a.end();
  await turns();
  expect(log).toEqual(['a', 'b']);
  b.end();
  await turns();
  expect(log).toEqual(['a', 'b', 'alone']);
  all.push(lock.share(c.work, never));
  await turns();
  expect(log).toEqual(['a', 'b', 'alone']);
  alone.end();
  await turns();
  expect(log).toEqual(['a', 'b', 'alone', 'c']);
  c.end();
  await Promise.all(all);
});

it('lets what is shared behind it wait for what waits to run alone, and nothing else', async () => {
  const lock = makeSharedLock();
  const log: string[] = [];
  const [a, behind, alone, b, gone] = ['a', 'behind', 'alone', 'b', 'gone'].map((name) => step(name, log));
  if (!a || !behind || !alone || !b || !gone) throw new Error('five steps');
  const caller = new AbortController();
  const all = [
    lock.shareBehind(a.work, hour, never),
    lock.alone(alone.work),
    lock.shareBehind(behind.work, hour, never),
    lock.share(b.work, never),
  ];
  const waiting = lock.shareBehind(gone.work, hour, caller.signal);
  caller.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  expect(log).toEqual(['a', 'b']);
  a.end();
  b.end();
  await turns();
  expect(log).toEqual(['a', 'b', 'alone']);
  alone.end();
  await turns();
  expect(log).toEqual(['a', 'b', 'alone', 'behind']);
  behind.end();
  await Promise.all(all);
});

it('does not let it wait for ever where other work leaves no gap', async () => {
  const lock = makeSharedLock();
  const log: string[] = [];
  const [a, behind, alone] = ['a', 'behind', 'alone'].map((name) => step(name, log));
  if (!a || !behind || !alone) throw new Error('three steps');
  const all = [lock.share(a.work, never), lock.alone(alone.work), lock.shareBehind(behind.work, 1, never)];
  await waitFor(() => log.includes('behind'), { timeoutMs: 10_000, what: 'end of its patience' });
  a.end();
  behind.end();
  await turns();
  expect(log).toEqual(['a', 'behind', 'alone']);
  alone.end();
  await Promise.all(all);
});

it('runs what runs alone one after the other', async () => {
  const lock = makeSharedLock();
  const log: string[] = [];
  const first = step('first', log);
  const second = step('second', log);
  const all = [lock.alone(first.work), lock.alone(second.work)];
  await turns();
  expect(log).toEqual(['first']);
  first.end();
  await turns();
  expect(log).toEqual(['first', 'second']);
  second.end();
  await Promise.all(all);
});

it('goes on after work that failed, and hands its error on', async () => {
  const lock = makeSharedLock();
  const fail = async (): Promise<never> => Promise.reject(new Error('no'));
  const shared = lock.share(fail, never);
  const alone = lock.alone(fail);
  await expect(shared).rejects.toThrow('no');
  await expect(alone).rejects.toThrow('no');
  expect(await lock.share(async () => Promise.resolve(1), never)).toBe(1);
});

it('lets a waiter go who is called off', async () => {
  const lock = makeSharedLock();
  const log: string[] = [];
  const alone = step('alone', log);
  const running = lock.alone(alone.work);
  const caller = new AbortController();
  const waiting = lock.share(step('shared', log).work, caller.signal);
  caller.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  alone.end();
  await running;
  expect(log).toEqual(['alone']);
});
