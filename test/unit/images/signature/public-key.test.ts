import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isSignedBy, parsePublicKey, type PublicKey } from '../../../../src/images/signature/public-key.ts';
import { makeSigner, type KeyKind } from '../../../lib/signing.ts';

const bytes = Buffer.from('what was signed');

function key(pem: string): PublicKey {
  const parsed = parsePublicKey(pem, '/keys/ci.pub');
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}

describe('keys and their signatures', () => {
  test.each<[KeyKind, string | undefined]>([
    ['p256', undefined],
    ['p384', 'sha256'],
    ['p384', 'sha384'],
    ['rsa2048', undefined],
    ['ed25519', undefined],
  ])('%s, %s: good over these bytes, bad over others, bad by another key', async (kind, hash) => {
    const signer = makeSigner(kind);
    const signature = signer.sign(bytes, hash);
    expect(await isSignedBy(key(signer.publicPem), bytes, signature)).toBe(true);
    expect(await isSignedBy(key(signer.publicPem), Buffer.from('other'), signature)).toBe(false);
    expect(await isSignedBy(key(makeSigner(kind).publicPem), bytes, signature)).toBe(false);
  });

  test('a hash that cosign does not use with the key does not count', async () => {
    for (const [kind, hash] of [
      ['p256', 'sha1'],
      ['p256', 'sha384'],
      ['rsa2048', 'sha1'],
      ['rsa2048', 'sha512'],
    ] as const) {
      const signer = makeSigner(kind);
      expect(await isSignedBy(key(signer.publicPem), bytes, signer.sign(bytes, hash))).toBe(false);
    }
  });

  test.each<KeyKind>(['p256', 'p384', 'rsa2048', 'ed25519'])('%s: what is no signature is a bad one', async (kind) => {
    const signer = makeSigner(kind);
    const signature = signer.sign(bytes);
    const others = [
      Buffer.alloc(0),
      Buffer.alloc(64),
      Buffer.alloc(5000, 0xff),
      signature.subarray(1),
      Buffer.concat([signature, signature]),
    ];
    for (const other of others) expect(await isSignedBy(key(signer.publicPem), bytes, other)).toBe(false);
  });
});

describe('keys that are not taken', () => {
  test.each<[KeyKind]>([['p521'], ['secp256k1'], ['rsa1024'], ['rsaPss'], ['ed448'], ['x25519']])('%s', (kind) => {
    expect(parsePublicKey(makeSigner(kind).publicPem, 'f')).toMatch(
      /^must be ECDSA on P-256 or P-384, RSA of 2048 to 16384 bits, or Ed25519$/,
    );
  });

  test('a private key is told as such', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(parsePublicKey(pem, 'f')).toMatch(/holds a private key/);
    expect(parsePublicKey('-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n', 'f')).toMatch(/holds a private key/);
  });

  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['two keys', makeSigner().publicPem + makeSigner().publicPem],
    ['a key in PKCS#1', generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'pkcs1', format: 'pem' }).toString()],
  ])('%s', (_what, pem) => {
    expect(parsePublicKey(pem, 'f')).toMatch(/is not one public key in PEM form/);
  });

  test('a key whose bytes are none', () => {
    expect(parsePublicKey('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'f')).toMatch(
      /is not a public key that can be read/,
    );
  });
});
