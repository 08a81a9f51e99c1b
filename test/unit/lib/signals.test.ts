import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { abandonOnAbort, linkedController, pause, withTimeout } from '../../../src/lib/signals.ts';

const never = new AbortController().signal;

describe('linkedController', () => {
  it('aborts with the outer signal, also with one that has aborted, or by itself, and lets go when disposed', () => {
    const [outer, reason] = [new AbortController(), new Error('enough')];
    using linked = linkedController(outer.signal);
    const own = linkedController(outer.signal);
    own.abort(new Error('mine'));
    own[Symbol.dispose]();
    expect([linked.signal.aborted, outer.signal.aborted, getEventListeners(outer.signal, 'abort').length]).toEqual([false, false, 1]);
    outer.abort(reason);
    expect([linked.signal.reason, own.signal.reason]).toEqual([reason, new Error('mine')]);
    expect(linkedController(outer.signal).signal.reason).toBe(reason);
  });
});

describe('pause', () => {
  it('ends with the signal’s reason', async () => {
    const [controller, reason] = [new AbortController(), new Error('enough')];
    await expect(pause(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const pausing = pause(60_000, controller.signal);
    controller.abort(reason);
    await expect(pausing).rejects.toBe(reason);
  });
});

describe('withTimeout', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('aborts after the time, and says what took too long', () => {
    using signal = withTimeout(never, 500, 'the start of dnsmasq');
    vi.advanceTimersByTime(499);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal.reason).toMatchObject({ name: 'TimeoutError', message: 'the start of dnsmasq took longer than 500 ms' });
  });

  it('aborts with the reason of the signal that it is made from, before or later', () => {
    const early = AbortSignal.abort(new Error('before'));
    using first = withTimeout(early, 500, 'x');
    expect(first.reason).toEqual(new Error('before'));
    const parent = new AbortController();
    using second = withTimeout(parent.signal, 500, 'x');
    parent.abort(new Error('later'));
    expect(second.reason).toEqual(new Error('later'));
    vi.advanceTimersByTime(500);
    expect(second.reason).toEqual(new Error('later'));
  });

  it('does nothing more once disposed', () => {
    const parent = new AbortController();
    const signal = withTimeout(parent.signal, 500, 'x');
    signal[Symbol.dispose]();
    expect(vi.getTimerCount()).toBe(0);
    parent.abort();
    vi.advanceTimersByTime(1_000);
    expect(signal.aborted).toBe(false);
  });

  it.each([2 ** 31, 30 * 86_400_000, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])('waits when the time is %d ms', (timeoutMs) => {
    using signal = withTimeout(never, timeoutMs, 'a very long grace period');
    vi.advanceTimersByTime(86_400_000);
    expect(signal.aborted).toBe(false);
  });
});

describe('abandonOnAbort', () => {
  it('answers or throws what the work does', async () => {
    await expect(abandonOnAbort(Promise.resolve(7), never)).resolves.toBe(7);
    await expect(abandonOnAbort(Promise.reject(new Error('work')), never)).rejects.toThrow('work');
  });

  it('throws the reason at once, and lets the work go on', async () => {
    const stop = new AbortController();
    const work = Promise.withResolvers<string>();
    const waiting = abandonOnAbort(work.promise, stop.signal);
    stop.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    work.resolve('done');
    await expect(work.promise).resolves.toBe('done');
  });

  it.each(['before', 'later'])('leaves no rejection unhandled when abandoned work fails (aborted %s)', async (when) => {
    const stop = new AbortController();
    if (when === 'before') stop.abort(new Error('gone'));
    const work = Promise.withResolvers<never>();
    const unhandled = await unhandledWhile(async () => {
      const waiting = abandonOnAbort(work.promise, stop.signal);
      stop.abort(new Error('gone'));
      await expect(waiting).rejects.toThrow('gone');
      work.reject(new Error('fails with nobody waiting'));
    });
    expect(unhandled).toEqual([]);
  });

  it('leaves no listener on a signal that lives long', async () => {
    const { signal } = new AbortController();
    await abandonOnAbort(Promise.resolve(), signal);
    await abandonOnAbort(Promise.reject(new Error('work')), signal).catch(() => undefined);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

/** Rejections that nobody handled, told here instead of to the test runner. */
async function unhandledWhile(work: () => Promise<void>): Promise<unknown[]> {
  const told: unknown[] = [];
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', (error) => told.push(error));
  try {
    await work();
    await turn();
    return told;
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const other of others) process.on('unhandledRejection', other);
  }
}
