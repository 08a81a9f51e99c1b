import type { Metadata, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';

/** What a handler knows of its call. */
export interface CallContext {
  /** Aborted when the caller cancels, its connection breaks (`AbortError`) or its deadline passes (`TimeoutError`). */
  readonly signal: AbortSignal;
  /** Unix time in milliseconds; `undefined` when the caller gave none. */
  readonly deadlineMs: number | undefined;
  readonly metadata: Metadata;
}

/**
 * The deadline travels as a duration (grpc-timeout), so that ours ends later than the caller's by the request's way here; the caller's
 * cancellation at its deadline arrives before ours.
 */
const travelMs = 100;

/** The context of a call as grpc-js hands it over. A passed deadline shows there as a cancellation: the clock tells them apart. */
export function contextOf(call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>): CallContext {
  const controller = new AbortController();
  const deadlineMs = deadlineOf(call.getDeadline());
  call.once('cancelled', () => {
    const late = deadlineMs !== undefined && Date.now() >= deadlineMs - travelMs;
    controller.abort(
      late
        ? new DOMException('the deadline of the call has passed', 'TimeoutError')
        : new DOMException('the caller cancelled the call', 'AbortError'),
    );
  });
  return { signal: controller.signal, deadlineMs, metadata: call.metadata };
}

function deadlineOf(deadline: Date | number): number | undefined {
  const ms = Number(deadline);
  return Number.isFinite(ms) ? ms : undefined;
}
