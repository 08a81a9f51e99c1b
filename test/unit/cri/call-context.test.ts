import { EventEmitter } from 'node:events';
import { Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { contextOf } from '../../../src/cri/call-context.ts';

type Call = Parameters<typeof contextOf>[0];

/** What grpc-js hands over, as far as a context is made of it. */
function callWith(deadline: Date | number): Call & EventEmitter {
  return Object.assign(new EventEmitter(), { getDeadline: () => deadline, metadata: new Metadata() }) as unknown as Call & EventEmitter;
}

describe('the end of a call', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  test.each([
    ['long before its deadline, is a cancellation', 1_060_000, 'AbortError'],
    ['at its deadline, is a timeout', 1_000_000, 'TimeoutError'],
    ['just before its deadline as counted here, is a timeout: the caller counts from when it sent', 1_000_050, 'TimeoutError'],
    ['without a deadline, is a cancellation', Infinity, 'AbortError'],
  ])('%s', (_what, deadline, name) => {
    for (const form of Number.isFinite(deadline) ? [deadline, new Date(deadline)] : [deadline]) {
      const call = callWith(form);
      const { signal } = contextOf(call);
      expect(signal.aborted).toBe(false);
      call.emit('cancelled');
      expect(signal.reason).toMatchObject({ name });
    }
  });
});

test('the deadline is told as Unix time, or not at all', () => {
  expect(contextOf(callWith(new Date(5_000))).deadlineMs).toBe(5_000);
  expect(contextOf(callWith(Infinity)).deadlineMs).toBeUndefined();
});
