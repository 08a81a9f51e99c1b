import { status } from '@grpc/grpc-js';

/** How a call failed: the gRPC code by name, and what it said. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** Waits for a call that must fail. Throws when it succeeds. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'number') {
      const details = 'details' in error ? String(error.details) : error.message;
      return { code: status[error.code] ?? String(error.code), message: details };
    }
    throw error;
  }
  throw new Error(`the call succeeded: ${String(answer)}`);
}
