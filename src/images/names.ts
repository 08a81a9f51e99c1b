import type { Validators } from './http/validators.ts';
import { keyOf, type Reference } from './reference.ts';
import type { NameRecord } from './store/image-record.ts';

/** Where a name's image came from, to ask there later whether it is current. */
export interface NameOrigin {
  /** See `Wanted.origin`. */
  readonly origin: string | undefined;
  readonly validators: Validators;
}

/**
 * The records of a reference that leads to an image: the name with `digest` (a manifest's or the disk's), by which it may be pinned, and its key.
 * The key comes last: if the disk is full, a tag stays where it was.
 */
export function namesFor(reference: Reference, imageId: string, digest: string, from?: NameOrigin): readonly NameRecord[] {
  const origin = from && originOf(from);
  const keys = new Set([`${reference.name}@${digest}`, keyOf(reference)]);
  return [...keys].map((key) => ({ key, imageId, ...(origin === undefined || key.includes('@') ? {} : { origin }) }));
}

function originOf({ origin, validators: { etag, lastModified } }: NameOrigin): NameRecord['origin'] {
  if (origin === undefined) return undefined;
  return {
    urlDigest: origin,
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
}
