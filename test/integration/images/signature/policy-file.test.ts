import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RepositoryContents } from '../../../../src/images/registry/registry.ts';
import { loadPolicy } from '../../../../src/images/signature/policy-file.ts';
import { requirementFor } from '../../../../src/images/signature/policy.ts';
import { makeSignatureCheck } from '../../../../src/images/signature/signature-check.ts';
import { cosignPayload, makeSigner, sha256Of, signatureManifest, type KeyKind } from '../../../lib/signing.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(30_000);

interface Files {
  readonly dir: string;
  readonly policy: string;
  readonly key: string;
}

function write(text: (key: string) => string, keyKind: KeyKind = 'p256'): Files {
  const dir = tempDir();
  const [policy, key] = [join(dir, 'policy.yaml'), join(dir, 'ci.pub')];
  writeFileSync(key, makeSigner(keyKind).publicPem);
  writeFileSync(policy, text(key));
  return { dir, policy, key };
}

async function problemOf(file: string): Promise<string> {
  return loadPolicy(file).then(
    () => 'loaded',
    (error: unknown) => {
      expect(error).toMatchObject({ facts: { code: 'INVALID', field: 'images.signaturePolicy' } });
      return error instanceof Error ? error.message : '';
    },
  );
}

const sound = (key: string): string => `
version: 1
default: refuse
repositories:
  registry.example: accept
  Registry.example:443/disks/debian: refuse
  registry.example/disks:
    require:
      keys: [${key}]
  localhost:5000: accept
  cirros: {require: {keys: [${key}], identity: repository}}
`;

describe('a policy', () => {
  test('in YAML', async () => {
    const { policy, key } = write(sound);
    const loaded = await loadPolicy(policy);
    const of = (name: string): unknown => requirementFor(loaded, name);
    expect(of('registry.example/disks/x')).toMatchObject({
      kind: 'require',
      identity: 'any',
      keys: [{ file: key }],
      scope: 'registry.example/disks',
    });
    expect(of('registry.example/disks/debian')).toEqual({ kind: 'refuse', scope: 'Registry.example:443/disks/debian' });
    expect(of('registry.example/x')).toEqual({ kind: 'accept', scope: 'registry.example' });
    expect(of('localhost:5000/x')).toMatchObject({ kind: 'accept' });
    expect(of('cirros')).toMatchObject({ kind: 'require', identity: 'repository' });
    expect(of('other')).toEqual({ kind: 'refuse', scope: 'default' });
  });

  test('in JSON, with a key as the default', async () => {
    const { policy } = write((key) => JSON.stringify({ version: 1, default: { require: { keys: [key] } } }), 'ed25519');
    expect(requirementFor(await loadPolicy(policy), 'x')).toMatchObject({ kind: 'require', scope: 'default' });
  });
});

describe('what is wrong is said with file and key', () => {
  test.each<[string, string | ((key: string) => string), RegExp]>([
    ['empty', '', /the policy: |version: .*; default: /],
    ['no YAML', 'a: [', /line 1/],
    ['a list', '[]', /the policy: /],
    ['no default', 'version: 1', /: default: must be accept, refuse, or require with keys$/],
    ['another version', 'version: 2\ndefault: accept', /: version: must be 1$/],
    ['an unknown key', 'version: 1\ndefault: accept\nrepos: {}', /: repos: is not a key of a signature policy$/],
    ['a key twice', 'version: 1\ndefault: accept\ndefault: refuse', /unique/],
    ['an unknown word', 'version: 1\ndefault: acept', /: default: must be accept, refuse, or require with keys$/],
    [
      'an unknown key of a rule',
      (key) => `version: 1\ndefault: accept\nrepositories:\n  a/b: {require: {keys: [${key}], threshold: 2}}`,
      /: repositories\["a\/b"\]\.require\.threshold: is not a key of a signature policy$/,
    ],
    ['no keys', 'version: 1\ndefault: {require: {keys: []}}', /: default\.require\.keys: must name at least one public key$/],
    [
      'a key by a relative path',
      'version: 1\ndefault: {require: {keys: [ci.pub]}}',
      /: default\.require\.keys\.0: must be an absolute path of a public key$/,
    ],
    [
      'a tag in a scope',
      'version: 1\ndefault: accept\nrepositories: {"a/b:12": refuse}',
      /repositories\["a\/b:12"\]: must be a repository .* without tag and digest$/,
    ],
    [
      'a scope with a slash at its end',
      'version: 1\ndefault: accept\nrepositories: {"a/": refuse}',
      /repositories\["a\/"\]: must be a repository or the beginning/,
    ],
    ['a wild card', 'version: 1\ndefault: accept\nrepositories: {"*.example": refuse}', /repositories\["\*\.example"\]: must be/],
    [
      'a protocol',
      'version: 1\ndefault: accept\nrepositories: {"https://a.example/b": refuse}',
      /repositories\["https:\/\/a.example\/b"\]: must be/,
    ],
    [
      'one scope in two spellings',
      'version: 1\ndefault: accept\nrepositories: {a.example/b: refuse, A.example/b: accept}',
      /repositories\["A.example\/b"\]: is there twice/,
    ],
    [
      'a key that is missing',
      'version: 1\ndefault: {require: {keys: [/no/ci.pub]}}',
      /: default\.require\.keys: \/no\/ci\.pub cannot be read: ENOENT/,
    ],
    ['a key that is a device', 'version: 1\ndefault: {require: {keys: [/dev/zero]}}', /\/dev\/zero cannot be read: is not a regular file/],
    ['a key that is none', 'version: 1\ndefault: {require: {keys: [/etc/passwd]}}', /\/etc\/passwd is not one public key in PEM form/],
  ])('%s', async (_what, text, problem) => {
    const { policy } = write(typeof text === 'string' ? () => text : text);
    const said = await problemOf(policy);
    expect(said).toContain(`images.signaturePolicy: ${policy}: `);
    expect(said).toMatch(problem);
  });

  test('all problems at once', async () => {
    const { policy } = write(
      (key) =>
        `version: 1\ndefault: {require: {keys: [/no/a.pub, ${key}]}}\nrepositories:\n  "x:y/": refuse\n  b/c: {require: {keys: [/no/b.pub]}}`,
    );
    const said = await problemOf(policy);
    for (const part of ['/no/a.pub', '/no/b.pub', 'x:y/']) expect(said).toContain(part);
  });

  test('a weak key', async () => {
    const { policy, key } = write((file) => `version: 1\ndefault: {require: {keys: [${file}]}}`, 'rsa1024');
    expect(await problemOf(policy)).toContain(`default.require.keys: ${key} must be ECDSA on P-256 or P-384, RSA of 2048`);
  });

  test('a file that is missing, a directory, a pipe, too large', async () => {
    const dir = tempDir();
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const large = join(dir, 'large');
    writeFileSync(large, Buffer.alloc(2 ** 20 + 1, 0x20));
    expect(await problemOf(join(dir, 'none'))).toMatch(/none: cannot be read: ENOENT/);
    expect(await problemOf(dir)).toMatch(/cannot be read: is not a regular file/);
    expect(await problemOf(pipe)).toMatch(/pipe: cannot be read: is not a regular file/);
    expect(await problemOf(large)).toMatch(/large: cannot be read: is larger than 1048576 bytes/);
  });
});

test.each([
  ['ECDSA P-256', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'sha256'],
  ['ECDSA P-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'sha384'],
  ['RSA 3072', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'], 'sha256'],
  ['Ed25519', ['-algorithm', 'ED25519'], undefined],
])('keys and signatures that openssl makes: %s', async (_kind, how, hash) => {
  const dir = tempDir();
  mkdirSync(join(dir, 'keys'));
  chmodSync(dir, 0o700);
  const path = (name: string): string => join(dir, name);
  const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });
  const digest = `sha256:${'c'.repeat(64)}`;
  const payload = cosignPayload(digest);
  openssl('genpkey', ...how, '-out', path('key.pem'));
  openssl('pkey', '-in', path('key.pem'), '-pubout', '-out', path('keys/ci.pub'));
  writeFileSync(path('payload'), payload);
  if (hash === undefined)
    openssl('pkeyutl', '-sign', '-rawin', '-inkey', path('key.pem'), '-in', path('payload'), '-out', path('signature'));
  else openssl('dgst', `-${hash}`, '-sign', path('key.pem'), '-out', path('signature'), path('payload'));
  writeFileSync(
    path('policy'),
    `version: 1\ndefault: refuse\nrepositories:\n  registry.example: {require: {keys: [${path('keys/ci.pub')}]}}\n`,
  );

  const signature = readFileSync(path('signature'));
  const check = makeSignatureCheck({ policy: async () => loadPolicy(path('policy')) });
  const image = { host: 'registry.example', repository: 'debian', reference: { name: 'registry.example/debian' } };
  const manifest = signatureManifest([{ payload, signature }]);
  const contents: RepositoryContents = {
    manifest: async () => ({ bytes: manifest, digest: sha256Of(manifest), mediaType: 'application/vnd.oci.image.manifest.v1+json' }),
    blob: async () => payload,
  };
  await expect(check({ ...image, digest }, contents, signal)).resolves.toBeUndefined();
  await expect(check({ ...image, digest: `sha256:${'d'.repeat(64)}` }, contents, signal)).rejects.toThrow(/is for the digest "sha256:ccc/);
});
