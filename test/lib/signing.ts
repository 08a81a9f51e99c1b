import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** A key pair, as somebody who signs images has it. */
export interface Signer {
  readonly privateKey: KeyObject;
  /** PEM, SubjectPublicKeyInfo. */
  readonly publicPem: string;
  /** Signs as cosign does; `hash` for what is not its usual one. */
  readonly sign: (bytes: Uint8Array, hash?: string) => Buffer;
}

const kinds = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  rsa1024: () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  rsa2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsaPss: () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
  ed25519: () => generateKeyPairSync('ed25519'),
  ed448: () => generateKeyPairSync('ed448'),
  x25519: () => generateKeyPairSync('x25519'),
} as const;

/** The kinds of key that `makeSigner` makes. */
export type KeyKind = keyof typeof kinds;

/** A new key pair. */
export function makeSigner(kind: KeyKind = 'p256'): Signer {
  const { privateKey, publicKey } = kinds[kind]();
  return {
    privateKey,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: (bytes, hash = 'sha256') => sign(kind.startsWith('ed') ? null : hash, bytes, privateKey),
  };
}

/** The payload that cosign signs for an image, with `changes` in it. */
export function cosignPayload(digest: string, reference = 'registry.example/disks/debian', changes: object = {}): Buffer {
  const critical = {
    identity: { 'docker-reference': reference },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  };
  return Buffer.from(JSON.stringify({ critical, optional: null, ...changes }));
}

/** A signature that is kept with an image. */
export interface KeptSignature {
  readonly payload: Buffer;
  readonly signature: Buffer | string;
}

/** The manifest that cosign keeps signatures in; `layers` changes them. */
export function signatureManifest(
  kept: readonly KeptSignature[],
  layers: (layers: readonly object[]) => readonly unknown[] = (each) => each,
): Buffer {
  const written = kept.map(({ payload, signature }) => ({
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    size: payload.length,
    digest: sha256Of(payload),
    annotations: { 'dev.cosignproject.cosign/signature': typeof signature === 'string' ? signature : signature.toString('base64') },
  }));
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', size: 2, digest: sha256Of(Buffer.from('{}')) },
      layers: layers(written),
    }),
  );
}

/** `sha256:<hex>` of these bytes. */
export function sha256Of(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
