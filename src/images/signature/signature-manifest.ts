import { z } from 'zod';
import { parseBoundedJson } from '../bounded-json.ts';

/** Most layers of a signature manifest that are looked at: the last ones, which cosign adds at the end. */
export const maxSignatures = 32;

/** Largest payload, bytes; cosign's have some hundred, and what `-a` adds. */
export const maxPayloadBytes = 2 ** 16;

const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json';
const signatureAnnotation = 'dev.cosignproject.cosign/signature';
const maxSignatureText = 4096; // an RSA key of 16384 bits gives 2732

/** A payload in the registry, with a signature that somebody claims for it. */
export interface SignatureLayer {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly signature: Uint8Array;
}

const layerSchema = z.object({
  mediaType: z.literal(payloadType),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().min(1).max(maxPayloadBytes),
  annotations: z.object({
    [signatureAnnotation]: z
      .string()
      .max(maxSignatureText)
      .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)
      .min(4),
  }),
});

const manifestSchema = z.object({ schemaVersion: z.literal(2), layers: z.array(z.unknown()) });

/** The tag under which cosign keeps the signatures of a manifest, in the image's own repository. Source: cosign's specs/SIGNATURE_SPEC.md. */
export function signatureTag(digest: string): string {
  return `${digest.replace(':', '-')}.sig`;
}

/**
 * The signatures in a signature manifest, and how many entries were passed over: of another type, without a signature that can be read, too
 * large. `undefined` when it is no manifest, or one of too many parts.
 */
export function parseSignatureManifest(
  bytes: Buffer,
): { readonly layers: readonly SignatureLayer[]; readonly unusable: number } | undefined {
  const manifest = manifestSchema.safeParse(parseBoundedJson(bytes));
  if (!manifest.success) return undefined;
  const looked = manifest.data.layers.slice(-maxSignatures).map((layer) => layerSchema.safeParse(layer));
  const layers = looked.flatMap(({ data }) => (data === undefined ? [] : [fromLayer(data)]));
  return { layers, unusable: looked.length - layers.length };
}

function fromLayer({ digest, size, annotations }: z.output<typeof layerSchema>): SignatureLayer {
  return { digest, sizeBytes: size, signature: Buffer.from(annotations[signatureAnnotation], 'base64') };
}
