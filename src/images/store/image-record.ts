import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DiskFormat } from '../../model/image.ts';

/** Version of all kinds of record. */
export const imageRecordVersion = 1;

const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const imageSchema = z.strictObject({
  digest: sha256,
  format: z.enum(['qcow2', 'raw']),
  sizeBytes: z.int().nonnegative(),
  virtualSizeBytes: z.int().positive(),
  verdict: z.strictObject({
    rules: z.int(),
    qemu: z.string(),
    /** The rule that the disk fails since the rules or QEMU changed; such an image is listed and can be removed, but is not found. */
    refused: z.string().optional(),
  }),
});

const nameSchema = z.strictObject({
  /** `name:tag` or `name@sha256:...`. */
  key: z.string().min(1),
  imageId: sha256,
  /** From where it was pulled last, to ask there whether the bytes are still current. The URL only as its digest: it may hold a secret. */
  origin: z.strictObject({ urlDigest: sha256, etag: z.string().optional(), lastModified: z.string().optional() }).optional(),
});

const contentSchema = z.strictObject({ imageId: sha256 });

/** Which disk came out of what was downloaded (layers with what is around them); the record's id is the hex digits of that content's digest. */
export type ContentRecord = z.output<typeof contentSchema>;

/** A disk in the store; the record's id is the image id's hex digits. */
export type ImageRecord = z.output<typeof imageSchema>;

/** A name that leads to a disk; the record's id is `nameRecordId(key)`. One record a name, so that a name moves in one step. */
export type NameRecord = z.output<typeof nameSchema>;

/** Reads a decoded image record; throws with what is wrong. */
export function parseImageRecord(value: unknown): ImageRecord {
  return imageSchema.parse(value);
}

/** Reads a decoded content record; throws with what is wrong. */
export function parseContentRecord(value: unknown): ContentRecord {
  return contentSchema.parse(value);
}

/** Reads a decoded name record; throws with what is wrong. */
export function parseNameRecord(value: unknown): NameRecord {
  return nameSchema.parse(value);
}

/**
 * `sha256:` and the SHA-256 of `vmlet/<format>/<digest>` in hex. The format is part of it: the same bytes read as raw and as qcow2 are two
 * images. It is never the digest of another runtime's manifest, so ids of both runtimes on a node stay apart.
 */
export function imageIdOf(format: DiskFormat, digest: string): string {
  return digestOfText(`vmlet/${format}/${digest}`);
}

/** `sha256:<hex>` of a text. */
export function digestOfText(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** The hex digits of an id or digest: the name of a blob or record. */
export function hexOf(digest: string): string {
  return digest.slice('sha256:'.length);
}

/** The record id of a name, which itself may hold characters that a file name may not. */
export function nameRecordId(key: string): string {
  return hexOf(digestOfText(key));
}
