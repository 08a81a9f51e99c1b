import type { Validators } from '../http/validators.ts';
import type { BlobBody } from './blob-source.ts';

/** By what the pieces of one blob are known to belong together. */
export interface BlobIdentity {
  /** Its size, bytes; `undefined` where the server does not say. */
  readonly totalBytes: number | undefined;
  readonly validators: Validators;
  /** `sha256:<64 hex>`, which tells in the end, whatever servers say of the pieces: mirrors have tags of their own. */
  readonly expectedDigest: string | undefined;
}

/** Whether bytes of another answer may stand beside those that we have; without, a cut means to begin anew. */
export function canResume({ validators, expectedDigest }: BlobIdentity): boolean {
  return expectedDigest !== undefined || validators.etag !== undefined || validators.lastModified !== undefined;
}

/** What ties a range to the bytes that we have; `undefined` where the digest does. */
export function conditionOf({ validators, expectedDigest }: BlobIdentity): Validators | undefined {
  return expectedDigest === undefined ? validators : undefined;
}

/**
 * Whether an answer is of the same blob. A tag that was there must be there again, since a 206 always has it (RFC 9110, section 15.3.7); a date may be
 * left out there.
 */
export function isSame(identity: BlobIdentity, { totalBytes, validators }: Pick<BlobBody, 'totalBytes' | 'validators'>): boolean {
  if (totalBytes !== undefined && identity.totalBytes !== undefined && totalBytes !== identity.totalBytes) return false;
  if (identity.expectedDigest !== undefined) return true;
  const { etag, lastModified } = identity.validators;
  if (etag !== undefined) return validators.etag === etag;
  return lastModified === undefined || validators.lastModified === undefined || validators.lastModified === lastModified;
}
