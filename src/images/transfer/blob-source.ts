import { PullProblem } from '../failures.ts';
import type { Validators } from '../http/validators.ts';

/** Bytes `from` to before `to`, or to the end. */
export interface ByteRange {
  readonly from: number;
  readonly to?: number | undefined;
}

/** What is asked of a source. */
export interface BlobRequest {
  /** `undefined`: all, in an answer that is not partial. */
  readonly range?: ByteRange | undefined;
  /** The bytes that we have part of: the range is wanted only of them (RFC 9110, If-Range); absent where a digest will tell. */
  readonly ifRange?: Validators | undefined;
  /** The bytes that are in the store: an answer is wanted only if they have changed. */
  readonly unlessCurrent?: Validators | undefined;
}

/** A blob's bytes, or a part of them, on their way. */
export interface BlobBody {
  readonly kind: 'body';
  /** Where the bytes begin: 0 where a server does not do ranges or the blob has changed, whatever was asked for. */
  readonly from: number;
  /** Whether this answer is a part of the whole (206), so that other parts may be asked for. */
  readonly isPartial: boolean;
  /** Size of the whole blob; `undefined` when the server does not say. */
  readonly totalBytes: number | undefined;
  readonly validators: Validators;
  /** The bytes, each chunk the reader's own, who may free its memory; ends with `PullProblem` when the server sends fewer or more than it announced. Closing the iterator drops the connection. */
  readonly chunks: AsyncIterable<Buffer>;
}

/** Somewhere that a blob can be had from, piece by piece. */
export interface BlobSource {
  /** For messages: without secrets. */
  readonly name: string;
  /**
   * Throws `PullProblem`: with `registryAway` where asking again may help, `retryAfterMs` if the server said when; or the signal's reason.
   * A range that lies behind the end (416) is a `BehindEnd`.
   */
  readonly open: (request: BlobRequest, signal: AbortSignal) => Promise<BlobBody | { readonly kind: 'unchanged' }>;
}

/** The range that was asked for lies behind the blob's end: an empty blob, or one that has become shorter. */
export class BehindEnd extends PullProblem {
  constructor(name: string) {
    super('status', `${name} answers that it is shorter than the range that was asked for`, { registryAway: false });
  }
}
