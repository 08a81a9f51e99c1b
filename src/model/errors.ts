/**
 * Everything that can go wrong and that a caller may want to tell apart, each with its facts. One table in `cri/` maps the codes to
 * gRPC status. Messages are for people: they name the field and the fix.
 */
export type ErrorFacts =
  | { readonly code: 'CNI_FAILED'; readonly plugin: string; readonly cniCode?: number; readonly details?: string }
  | { readonly code: 'CNI_UNAVAILABLE' }
  | { readonly code: 'DISK_FULL'; readonly path: string }
  | { readonly code: 'IMAGE_IN_USE'; readonly imageId: string; readonly containerId: string }
  | { readonly code: 'IMAGE_NOT_FOUND'; readonly reference: string }
  | { readonly code: 'IMAGE_REFUSED'; readonly reference: string; readonly rule: string }
  | { readonly code: 'INVALID'; readonly field: string }
  | { readonly code: 'LIBVIRT_UNAVAILABLE' }
  | { readonly code: 'NOT_FOUND'; readonly kind: 'sandbox' | 'container'; readonly id: string }
  | { readonly code: 'PULL_FAILED'; readonly reference: string; readonly reason: PullFailure }
  | { readonly code: 'RECORDS_UNREADABLE'; readonly file: string }
  | { readonly code: 'TOO_SLOW'; readonly stream: string }
  | { readonly code: 'UNIMPLEMENTED'; readonly feature: string }
  | { readonly code: 'VM_FAILED'; readonly vm: string }
  | { readonly code: 'WRONG_STATE'; readonly kind: 'sandbox' | 'container'; readonly id: string; readonly state: string };

/**
 * Why a pull failed, as far as a kubelet is told: `registry-away` where trying again later may help, `signature` where the node's policy wants
 * one that the image has not.
 */
export type PullFailure = 'registry-away' | 'signature' | 'other';

/** The codes alone. */
export type ErrorCode = ErrorFacts['code'];

/** The one error type that crosses rooms. `cause` keeps the original for the log; it is never sent to a caller. */
export class VmletError extends Error {
  override readonly name = 'VmletError';
  readonly facts: ErrorFacts;

  constructor(facts: ErrorFacts, message: string, options?: ErrorOptions) {
    super(message, options);
    this.facts = facts;
  }
}

/** A request, annotation or configuration value that cannot be accepted: `field` as the user wrote it, `problem` with the accepted values. */
export function invalid(field: string, problem: string): VmletError {
  return new VmletError({ code: 'INVALID', field }, `${field}: ${problem}`);
}

/** True for a `VmletError` with one of the given codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is VmletError {
  return error instanceof VmletError && codes.includes(error.facts.code);
}
