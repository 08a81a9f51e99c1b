import { describe, expect, test } from 'vitest';
import { makeSlots } from '../../../src/lib/slots.ts';

const never = new AbortController().signal;

describe('slots', () => {
  test('are given in the order in which they were asked for', async () => {
    const slots = makeSlots(2);
    const held = [await slots.take(never), await slots.take(never)];
    const order: number[] = [];
    const waiting = [1, 2].map(async (number) => {
      const slot = await slots.take(never);
      order.push(number);
      return slot;
    });
    expect(slots.waiting()).toBe(2);
    held[1]?.[Symbol.dispose]();
    const first = await waiting[0];
    expect(order).toEqual([1]);
    first?.[Symbol.dispose]();
    first?.[Symbol.dispose](); // giving back twice gives one place
    await waiting[1];
    expect([order, slots.waiting()]).toEqual([[1, 2], 0]);
    const late = slots.take(AbortSignal.abort(new Error('too late')));
    await expect(late).rejects.toThrow('too late');
  });

  test('who stops waiting takes no place', async () => {
    const slots = makeSlots(1);
    const held = await slots.take(never);
    const impatient = new AbortController();
    const gone = slots.take(impatient.signal);
    impatient.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    expect(slots.waiting()).toBe(0);
    held[Symbol.dispose]();
    (await slots.take(never))[Symbol.dispose]();
  });

  test('a turn that comes together with the abort is passed on', async () => {
    const slots = makeSlots(1);
    const held = await slots.take(never);
    const impatient = new AbortController();
    const gone = slots.take(impatient.signal);
    impatient.abort(new Error('gone'));
    held[Symbol.dispose]();
    await expect(gone).rejects.toThrow('gone');
    (await slots.take(never))[Symbol.dispose]();
  });
});
