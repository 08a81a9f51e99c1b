import { randomBytes } from 'node:crypto';
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import type { Log } from '../lib/log.ts';
import { VmletError, type ErrorCode, type PullFailure } from '../model/errors.ts';

/** The one table from errors to gRPC status. Codes are those a kubelet acts on; see docs/cri-support.md. */
const codes: Readonly<Record<ErrorCode, status>> = {
  CNI_FAILED: status.UNKNOWN,
  CNI_UNAVAILABLE: status.UNAVAILABLE,
  DISK_FULL: status.RESOURCE_EXHAUSTED,
  IMAGE_IN_USE: status.FAILED_PRECONDITION,
  IMAGE_NOT_FOUND: status.NOT_FOUND,
  IMAGE_REFUSED: status.INVALID_ARGUMENT,
  INVALID: status.INVALID_ARGUMENT,
  LIBVIRT_UNAVAILABLE: status.UNAVAILABLE,
  NOT_FOUND: status.NOT_FOUND,
  PULL_FAILED: status.UNKNOWN, // the kubelet strips this code alone, and looks at how the text begins
  RECORDS_UNREADABLE: status.UNAVAILABLE,
  TOO_SLOW: status.RESOURCE_EXHAUSTED,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  VM_FAILED: status.UNKNOWN,
  WRONG_STATE: status.FAILED_PRECONDITION,
};

/**
 * The gRPC status of an error. Aborts become DEADLINE_EXCEEDED or CANCELLED; what is no `VmletError` is a bug: INTERNAL with an error
 * id, and the stack in the log only. The cause of an expected failure is told at debug: it may quote what others wrote.
 */
export function toStatus(error: unknown, log: Log): ServiceError {
  if (error instanceof VmletError) {
    if (error.cause !== undefined) log.debug({ ...error.facts, message: error.message, cause: causeOf(error) }, 'a call failed');
    return serviceError(codes[error.facts.code], textOf(error));
  }
  if (error instanceof Error && error.name === 'TimeoutError') return serviceError(status.DEADLINE_EXCEEDED, error.message);
  if (error instanceof Error && error.name === 'AbortError') return serviceError(status.CANCELLED, error.message);
  const errorId = randomBytes(4).toString('hex');
  log.error({ errorId, stack: error instanceof Error ? error.stack : String(error), cause: causeOf(error) }, 'internal error');
  return serviceError(status.INTERNAL, `internal error ${errorId}, see vmlet's log`);
}

/** A status as grpc-js wants it. */
export function serviceError(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

/** What the kubelet looks for at the beginning of a failed pull's text (k8s.io/cri-api, pkg/errors). */
const pullWords: Readonly<Record<PullFailure, string>> = {
  'registry-away': 'RegistryUnavailable: ',
  signature: 'SignatureValidationFailed: ',
  other: '',
};

function textOf({ facts, message }: VmletError): string {
  return facts.code === 'PULL_FAILED' ? `${pullWords[facts.reason]}${message}` : message;
}

function causeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.cause === undefined) return undefined;
  return error.cause instanceof Error ? error.cause.stack : 'not an Error';
}
