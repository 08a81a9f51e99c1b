/** What an error reply of libvirtd carries (remote_error). */
export interface LibvirtErrorFacts {
  /** virErrorNumber; `libvirtErrorCode` names those that callers tell apart. */
  readonly code: number;
  /** virErrorDomain: the part of libvirt that raised it. */
  readonly domain: number;
  /** 1 warning, 2 error. */
  readonly level: number;
  readonly message: string;
  /** Further details, as the code defines them; often the message's parts. */
  readonly details: readonly string[];
}

/** libvirtd answered a call with an error. */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  readonly code: number;
  readonly domain: number;
  readonly level: number;
  readonly details: readonly string[];

  constructor(facts: LibvirtErrorFacts) {
    super(facts.message);
    this.code = facts.code;
    this.domain = facts.domain;
    this.level = facts.level;
    this.details = facts.details;
  }
}

/** There is no connection: the call was not sent and had no effect. `cause` says why the last attempt failed. */
export class LibvirtUnavailableError extends Error {
  override readonly name = 'LibvirtUnavailableError';
}

/** The connection ended before the answer came: the call may or may not have had its effect. `cause` says why it ended. */
export class LibvirtConnectionLostError extends Error {
  override readonly name = 'LibvirtConnectionLostError';
}

/** No answer within the call's deadline: libvirtd may still be at it. */
export class LibvirtTimeoutError extends Error {
  override readonly name = 'LibvirtTimeoutError';
}

/** The peer sent bytes that are not libvirt's protocol; the connection is closed. Seen as `cause` of `LibvirtConnectionLostError`. */
export class LibvirtProtocolError extends Error {
  override readonly name = 'LibvirtProtocolError';
}

/** True for an error reply of libvirtd with one of the given codes. */
export function isLibvirtError(error: unknown, ...codes: readonly number[]): error is LibvirtError {
  return error instanceof LibvirtError && (codes.length === 0 || codes.includes(error.code));
}

/** True when the call got no answer: not connected, connection lost, or out of time. */
export function isNoAnswer(error: unknown): error is LibvirtUnavailableError | LibvirtConnectionLostError | LibvirtTimeoutError {
  return error instanceof LibvirtUnavailableError || error instanceof LibvirtConnectionLostError || error instanceof LibvirtTimeoutError;
}
