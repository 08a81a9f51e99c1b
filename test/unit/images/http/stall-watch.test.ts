import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchForStall } from '../../../../src/images/http/stall-watch.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('nothing for a while ends it, however long the whole takes', () => {
  using watch = watchForStall(100, 'http://h/disk', new AbortController().signal);
  for (let turn = 0; turn < 10; turn += 1) {
    vi.advanceTimersByTime(99);
    watch.touch();
  }
  expect(watch.signal.aborted).toBe(false);
  vi.advanceTimersByTime(100);
  expect(watch.signal.reason).toMatchObject({ kind: 'stalled', registryAway: true, message: 'http://h/disk: nothing received for 100 ms' });
});

test('time stands still while it is paused', () => {
  using watch = watchForStall(100, 'disk', new AbortController().signal);
  watch.pause();
  vi.advanceTimersByTime(1000);
  expect(watch.signal.aborted).toBe(false);
  watch.touch();
  vi.advanceTimersByTime(99);
  expect(watch.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(watch.signal.aborted).toBe(true);
});

test('the outer signal ends it for its own reason, and nothing remains when it is disposed', () => {
  const outer = new AbortController();
  const watch = watchForStall(100, 'disk', outer.signal);
  const second = watchForStall(100, 'disk', outer.signal);
  second[Symbol.dispose]();
  outer.abort(new Error('enough'));
  expect(watch.signal.reason).toEqual(new Error('enough'));
  expect(second.signal.aborted).toBe(false);
  watch[Symbol.dispose]();
  expect(vi.getTimerCount()).toBe(0);
});
