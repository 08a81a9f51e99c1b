import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** A key that signatures are verified by. */
export interface PublicKey {
  /** Where it was read from, for messages. */
  readonly file: string;
  readonly key: KeyObject;
  /** Hashes that a signature may be over, as node:crypto names them; `null` where the algorithm has its own. */
  readonly hashes: readonly (string | null)[];
}

const onePublicKey = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;
const minRsaBits = 2048;
const maxRsaBits = 16_384; // verification takes milliseconds below, OpenSSL's own limit

/**
 * Hashes by key type, as cosign has signed: SHA-256 whatever the key; cosign after 3.1 goes by the key's size, which differs for P-384 alone.
 */
const hashesOfCurve: Readonly<Record<string, readonly string[]>> = { prime256v1: ['sha256'], secp384r1: ['sha256', 'sha384'] };

/**
 * Reads a PEM public key (SubjectPublicKeyInfo, what `cosign generate-key-pair` and `openssl pkey -pubout` write). Answers what is wrong with it
 * instead of a key: the text completes a sentence that begins with the file's name.
 */
export function parsePublicKey(pem: string, file: string): PublicKey | string {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) return 'holds a private key, which does not belong on a node: give the public one';
  if (!onePublicKey.test(pem)) return 'is not one public key in PEM form (-----BEGIN PUBLIC KEY-----)';
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem, format: 'pem', type: 'spki' });
  } catch {
    return 'is not a public key that can be read';
  }
  const hashes = hashesOf(key);
  return hashes === undefined
    ? `must be ECDSA on P-256 or P-384, RSA of ${minRsaBits} to ${maxRsaBits} bits, or Ed25519`
    : { file, key, hashes };
}

/**
 * Whether `signature` is the key's over these bytes: ECDSA in DER, RSA PKCS#1 v1.5, Ed25519 (RFC 8032, not pre-hashed). Works off the event
 * loop, and never throws for what others wrote.
 */
export async function isSignedBy({ key, hashes }: PublicKey, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
  for (const hash of hashes) {
    if (await verifyOffLoop(hash, bytes, key, signature)) return true;
  }
  return false;
}

const verifyOffLoop = promisify<string | null, Uint8Array, KeyObject, Uint8Array, boolean>(verify);

function hashesOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): PublicKey['hashes'] | undefined {
  if (asymmetricKeyType === 'ed25519') return [null];
  if (asymmetricKeyType === 'ec') return hashesOfCurve[asymmetricKeyDetails?.namedCurve ?? ''];
  const bits = asymmetricKeyType === 'rsa' ? (asymmetricKeyDetails?.modulusLength ?? 0) : 0;
  return bits >= minRsaBits && bits <= maxRsaBits ? ['sha256'] : undefined;
}
