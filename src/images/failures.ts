import { isErrno } from '../lib/errno.ts';
import { hasCode, VmletError, type PullFailure } from '../model/errors.ts';

/** Why bytes could not be had: what a caller, a log reader and a test can tell apart. */
export type PullProblemKind =
  | 'address-forbidden'
  | 'answer'
  | 'auth'
  | 'certificate'
  | 'connection'
  | 'digest'
  | 'downgrade'
  | 'inspection'
  | 'manifest'
  | 'redirects'
  | 'signature'
  | 'stalled'
  | 'status'
  | 'too-few-bytes'
  | 'too-large'
  | 'too-many-bytes'
  | 'web-page';

const awayKinds: ReadonlySet<PullProblemKind> = new Set(['connection', 'stalled', 'too-few-bytes']);

/** A pull that failed on its way. `registryAway` is true where trying again later may help: connection problems, status 5xx and 429. */
export class PullProblem extends Error {
  override readonly name = 'PullProblem';
  readonly kind: PullProblemKind;
  readonly registryAway: boolean;
  /** How long the server asks us to wait before the next attempt (Retry-After), milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: PullProblemKind,
    message: string,
    options: ErrorOptions & { readonly registryAway?: boolean; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
    this.registryAway = options.registryAway ?? awayKinds.has(kind);
  }
}

/** Bytes that do not pass the door; `rule` is its stable name. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly rule: string;

  constructor(rule: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rule = rule;
  }
}

/** The error that leaves the room for a failed pull of `reference`; what is not known here (an abort, a bug) stays as it is. */
export function toVmletError(error: unknown, reference: string, storeDir: string): unknown {
  if (error instanceof PullProblem) {
    return new VmletError({ code: 'PULL_FAILED', reference, reason: reasonOf(error) }, `image ${reference}: ${error.message}`, {
      cause: error,
    });
  }
  if (error instanceof Refusal) {
    return new VmletError(
      { code: 'IMAGE_REFUSED', reference, rule: error.rule },
      `image ${reference} is refused (${error.rule}): ${error.message}`,
      {
        cause: error,
      },
    );
  }
  if (isErrno(error, 'ENOSPC', 'EDQUOT') || (hasCode(error, 'DISK_FULL') && isErrno(error.cause, 'ENOSPC', 'EDQUOT'))) {
    return new VmletError({ code: 'DISK_FULL', path: storeDir }, `image ${reference}: no space left in ${storeDir}`, { cause: error });
  }
  return error;
}

function reasonOf({ kind, registryAway }: PullProblem): PullFailure {
  if (kind === 'signature') return 'signature';
  return registryAway ? 'registry-away' : 'other';
}
