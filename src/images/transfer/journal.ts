import { z } from 'zod';
import { canResume, type BlobIdentity } from './identity.ts';
import { isIntervals, type Intervals } from './intervals.ts';

/** What a partial file holds for sure, also after a power cut. */
export interface Journal {
  readonly identity: BlobIdentity & { readonly totalBytes: number };
  /** Bytes that were synced before this was written. */
  readonly durable: Intervals;
}

/** Longest journal that is read, bytes. */
export const maxJournalBytes = 2 ** 18;

const mostIntervals = 4096;
const size = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const schema = z
  .strictObject({
    version: z.literal(1),
    totalBytes: size.min(1),
    etag: z
      .string()
      .regex(/^"[\x21\x23-\x7e]{0,300}"$/)
      .optional(),
    lastModified: z
      .string()
      .regex(/^[\x20-\x7e]{1,64}$/)
      .optional(),
    expectedDigest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional(),
    durable: z.array(z.tuple([size, size])).max(mostIntervals),
  })
  .transform(({ totalBytes, etag, lastModified, expectedDigest, durable }) => ({
    identity: {
      totalBytes,
      validators: { ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { lastModified }) },
      expectedDigest,
    },
    durable: durable.map(([from, to]) => ({ from, to })),
  }));

/** The journal as its file holds it. Of very many intervals the last are left out: they are then fetched again. */
export function encodeJournal({ identity, durable }: Journal): string {
  const { totalBytes, validators, expectedDigest } = identity;
  const pairs = durable.slice(0, mostIntervals).map(({ from, to }) => [from, to]);
  return `${JSON.stringify({ version: 1, totalBytes, ...validators, expectedDigest, durable: pairs })}\n`;
}

/** Reads a journal, which anybody may have written; `undefined` means to begin from nothing. Never throws. */
export function decodeJournal(content: Uint8Array): Journal | undefined {
  if (content.length > maxJournalBytes) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    return undefined;
  }
  const { data } = schema.safeParse(json);
  return data && isIntervals(data.durable, data.identity.totalBytes) ? data : undefined;
}

/** What is wanted now. */
export interface WantedBlob {
  readonly expectedDigest: string | undefined;
  readonly totalBytes: number | undefined;
  readonly maxBytes: number;
}

/** Whether the journal's bytes can be part of the blob that is wanted now. */
export function fits({ identity }: Journal, { expectedDigest, totalBytes = identity.totalBytes, maxBytes }: WantedBlob): boolean {
  const isSize = identity.totalBytes === totalBytes && identity.totalBytes <= maxBytes;
  return isSize && identity.expectedDigest === expectedDigest && canResume(identity);
}
