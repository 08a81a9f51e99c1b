import { LibvirtTimeoutError } from './errors.ts';
import type { FrameHeader } from './frame.ts';

/** How long to wait for an answer, and what ends the wait early. */
export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Which procedure a call is of. */
export type CallTarget = Pick<FrameHeader, 'program' | 'procedure'>;

/** What became of an answer: `late` when nobody waits for it any more, `unknown` when nobody ever asked. */
export type Delivery = 'delivered' | 'late' | 'unknown';

/** Node's timers hold 31 bits; a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

interface PendingCall {
  readonly target: CallTarget;
  readonly deliver: (payload: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Calls that wait for their answers, by serial. Invariants: a serial is in use by one call at a time, from its start until its answer has
 * come, even when nobody waits any more; a call that is given up leaves no timer and no listener.
 */
export interface PendingCalls {
  /** Allots a serial. The answer's payload goes through `decode`, at once when it comes; what it throws goes to the deliverer, not to the caller. */
  readonly start: <R>(
    target: CallTarget,
    options: CallOptions,
    decode: (payload: Buffer, serial: number) => R,
  ) => { serial: number; result: Promise<R> };
  readonly deliver: (header: FrameHeader, payload: Buffer) => Delivery;
  readonly reject: (header: FrameHeader, error: Error) => Delivery;
  /** Fails all that wait. */
  readonly rejectAll: (error: Error) => void;
}

/** An empty table. */
export function makePendingCalls(): PendingCalls {
  const waiting = new Map<number, PendingCall>();
  const abandoned = new Map<number, CallTarget>();
  let last = 0;

  function nextSerial(): number {
    do last = last === 0xffff_ffff ? 1 : last + 1;
    while (waiting.has(last) || abandoned.has(last));
    return last;
  }

  function answer(header: FrameHeader, apply: (call: PendingCall) => void): Delivery {
    const call = waiting.get(header.serial);
    const target = call?.target ?? abandoned.get(header.serial);
    if (target === undefined || target.program !== header.program || target.procedure !== header.procedure) return 'unknown';
    if (call === undefined) {
      abandoned.delete(header.serial);
      return 'late';
    }
    apply(call);
    waiting.delete(header.serial);
    return 'delivered';
  }

  return {
    start(target, { timeoutMs, signal }, decode) {
      const serial = nextSerial();
      const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof decode>>();
      const giveUp = (reason: unknown): void => {
        release();
        waiting.delete(serial);
        abandoned.set(serial, target);
        reject(reason);
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const timer = setTimeout(
        () => giveUp(new LibvirtTimeoutError(`no answer from libvirtd to procedure ${target.procedure} within ${timeoutMs} ms`)),
        Math.min(timeoutMs, longestTimerMs),
      );
      const release = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      waiting.set(serial, {
        target,
        deliver(payload) {
          const value = decode(payload, serial);
          release();
          resolve(value);
        },
        reject(error) {
          release();
          reject(error);
        },
      });
      return { serial, result: promise };
    },
    deliver: (header, payload) => answer(header, (call) => call.deliver(payload)),
    reject: (header, error) => answer(header, (call) => call.reject(error)),
    rejectAll(error) {
      for (const call of waiting.values()) call.reject(error);
      waiting.clear();
    },
  };
}
