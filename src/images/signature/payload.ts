import { z } from 'zod';
import { quoted } from '../quoted.ts';
import { parseReference } from '../reference.ts';
import { repeatedKey } from './json-keys.ts';
import { canonicalRepository } from './policy.ts';

/** What cosign signs: the "simple signing" format of containers-signature(5) with a type of its own. Strict as that page asks for. */
const payloadSchema = z.strictObject({
  critical: z.strictObject({
    type: z.literal('cosign container image signature'),
    image: z.strictObject({ 'docker-manifest-digest': z.string() }),
    identity: z.strictObject({ 'docker-reference': z.string() }),
  }),
  optional: z.record(z.string(), z.unknown()).nullish(),
});

/** What a signer says of an image. */
export interface SignedPayload {
  /** Digest of the manifest or index that was signed. */
  readonly digest: string;
  /** The image as the signer called it. */
  readonly reference: string;
}

/** Reads a payload whose signature is good, or answers what is wrong with it. */
export function parsePayload(bytes: Uint8Array): SignedPayload | string {
  let text: string;
  let tree: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    tree = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) return `it has a key twice: ${quoted(repeated)}`;
  const checked = payloadSchema.safeParse(tree);
  if (!checked.success) return `it is not in cosign's form: ${quoted(z.prettifyError(checked.error))}`;
  const { image, identity } = checked.data.critical;
  return { digest: image['docker-manifest-digest'], reference: identity['docker-reference'] };
}

/** What a signature must be for. */
export interface SignedImage {
  /** Of the manifest or index that the reference leads to. */
  readonly digest: string;
  /**
   * Host and path, with what the reference left out filled in (the default registry); the same whatever mirror the bytes come from. For an image
   * of no registry the reference's name.
   */
  readonly repositoryName: string;
}

/**
 * Whether the signer meant this image: `undefined`, or why not. The digest must be this one. The signer's name for the image counts only with
 * `identity: repository`: by default any is fine, as for `cosign verify`, so that images can be copied to mirrors with their signatures; who
 * signs different repositories by one key, and must keep them apart, asks for it. Tag and digest within that name do not count.
 */
export function payloadProblem(payload: SignedPayload, image: SignedImage, identity: 'any' | 'repository'): string | undefined {
  if (payload.digest !== image.digest) return `is for the digest ${quoted(payload.digest)}, not for ${image.digest}`;
  if (identity === 'any' || repositoryOf(payload.reference) === canonicalRepository(image.repositoryName)) return undefined;
  return `is for ${quoted(payload.reference)}, not for the repository ${image.repositoryName}`;
}

function repositoryOf(reference: string): string | undefined {
  try {
    return canonicalRepository(parseReference(reference).name);
  } catch {
    return undefined;
  }
}
