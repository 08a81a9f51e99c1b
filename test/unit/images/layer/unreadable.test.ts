import { expect, test } from 'vitest';
import { makeUnreadable } from '../../../../src/images/layer/unreadable.ts';

async function* pieces(...texts: string[]): AsyncGenerator<Buffer, undefined> {
  for (const text of texts) yield Buffer.from(text);
  return undefined;
}

test('what is given back comes again, before what was fetched ahead', async () => {
  const source = makeUnreadable(pieces('abc', 'def'));
  expect(String(await source.take())).toBe('abc');
  source.prefetch();
  source.prefetch();
  source.unread(Buffer.from('c'));
  expect(await source.peek()).toBe(true);
  expect(String(await source.take())).toBe('c');
  expect(String(await source.take())).toBe('def');
  source.unread(Buffer.alloc(0));
  expect(await source.peek()).toBe(false);
  expect(await source.take()).toBeUndefined();
  expect(source.takenBytes()).toBe(6);
});

test('what fails ahead is told by the next take', async () => {
  async function* broken(): AsyncGenerator<Buffer, undefined> {
    yield Buffer.from('a');
    throw new Error('broken');
  }
  const source = makeUnreadable(broken());
  await source.take();
  source.prefetch();
  await expect(source.take()).rejects.toThrow('broken');
});
