import { describe, expect, test } from 'vitest';
import { PullProblem } from '../../../../src/images/failures.ts';
import type { RepositoryContents } from '../../../../src/images/registry/registry.ts';
import { scopeKeys, type Policy, type Rule } from '../../../../src/images/signature/policy.ts';
import { parsePublicKey } from '../../../../src/images/signature/public-key.ts';
import { checkUnsigned, makeSignatureCheck } from '../../../../src/images/signature/signature-check.ts';
import { invalid } from '../../../../src/model/errors.ts';
import { cosignPayload, makeSigner, sha256Of, signatureManifest, type KeptSignature, type Signer } from '../../../lib/signing.ts';

const signal = AbortSignal.timeout(20_000);
const digest = `sha256:${'a'.repeat(64)}`;
const tag = `sha256-${'a'.repeat(64)}.sig`;
const repositoryName = 'registry.example/disks/debian';
const image = { host: 'registry.example', repository: 'disks/debian', reference: { name: repositoryName }, digest };
const [ours, theirs] = [makeSigner(), makeSigner()];

function ruleOf(signers: readonly Signer[] = [ours], identity: 'any' | 'repository' = 'any'): Rule {
  const keys = signers.map(({ publicPem }, index) => parsePublicKey(publicPem, `/keys/${index}.pub`));
  return { kind: 'require', identity, keys: keys.filter((key) => typeof key === 'object') };
}

function policyOf(rule: Rule): Policy {
  const scope = 'registry.example/disks';
  return { default: { kind: 'accept' }, repositories: new Map(scopeKeys(scope).map((key) => [key, { ...rule, scope }])) };
}

/** A repository that has this manifest of signatures and these payloads, and what it was asked for. */
function repository(manifest: Buffer | undefined, payloads: readonly Buffer[]): RepositoryContents & { readonly asked: string[] } {
  const blobs = new Map(payloads.map((payload) => [sha256Of(payload), payload]));
  const asked: string[] = [];
  return {
    asked,
    manifest: async (wanted) => {
      asked.push(wanted);
      return manifest && { bytes: manifest, digest: sha256Of(manifest), mediaType: 'application/vnd.oci.image.manifest.v1+json' };
    },
    blob: async (wanted, maxBytes) => {
      asked.push(`${wanted} ${maxBytes}`);
      const payload = blobs.get(wanted);
      if (!payload) throw new PullProblem('status', 'no such blob');
      return payload;
    },
  };
}

function keeping(...kept: readonly KeptSignature[]): ReturnType<typeof repository> {
  return repository(
    signatureManifest(kept),
    kept.map(({ payload }) => payload),
  );
}

function signed(by: Signer, payload = cosignPayload(digest)): KeptSignature {
  return { payload, signature: by.sign(payload) };
}

async function check(contents: RepositoryContents, rule: Rule = ruleOf()): Promise<string> {
  try {
    await makeSignatureCheck({ policy: () => policyOf(rule) })(image, contents, signal);
    return 'taken';
  } catch (error) {
    if (error instanceof PullProblem && error.kind === 'signature' && !error.registryAway) return error.message;
    throw error;
  }
}

describe('an image is taken', () => {
  test('with a signature by the key, which is looked for where cosign puts it', async () => {
    const request = keeping(signed(ours));
    expect(await check(request)).toBe('taken');
    expect(request.asked).toEqual([tag, `${sha256Of(cosignPayload(digest))} 65536`]);
  });

  test('with one by any of several keys, beside others; a payload is fetched once', async () => {
    const request = keeping(signed(theirs), signed(makeSigner('ed25519')), signed(ours));
    expect(await check(request, ruleOf([makeSigner('rsa2048'), ours]))).toBe('taken');
    expect(request.asked).toHaveLength(2);
  });

  test('with one among entries that cannot be used', async () => {
    const good = signed(ours);
    const others = [null, 1, [], {}, { mediaType: 'application/vnd.in-toto+json', digest, size: 1 }];
    const manifest = signatureManifest([good], (layers) => [...others, ...layers, ...others]);
    expect(await check(repository(manifest, [good.payload]))).toBe('taken');
  });

  test('without a question where the policy accepts any', async () => {
    const request = keeping();
    expect(await check(request, { kind: 'accept' })).toBe('taken');
    expect(request.asked).toEqual([]);
  });

  test('under another name, unless the policy wants the name too', async () => {
    const copied = keeping(signed(ours, cosignPayload(digest, 'origin.example/debian:12')));
    expect(await check(copied)).toBe('taken');
    expect(await check(copied, ruleOf([ours], 'repository'))).toMatch(
      /the signature by \/keys\/0.pub is for "origin.example\/debian:12", not for the repository registry.example\/disks\/debian$/,
    );
  });
});

describe('an image is refused, and the message says by which rule and why', () => {
  const wants =
    /^the node's signature policy wants registry.example\/disks\/debian signed \(by its rule for registry.example\/disks\), but /;

  test.each<[string, () => RepositoryContents, RegExp]>([
    [
      'no signature',
      () => repository(undefined, []),
      new RegExp(`${digest} has no signature: the repository has no tag ${tag}; sign it with cosign`),
    ],
    ['by another key', () => keeping(signed(theirs)), /of 1 looked at none is good: a signature is by none of the keys \/keys\/0.pub$/],
    [
      'for another digest',
      () => keeping(signed(ours, cosignPayload(`sha256:${'b'.repeat(64)}`))),
      /the signature by \/keys\/0.pub is for the digest "sha256:bb.*not for sha256:aa/,
    ],
    [
      'over other bytes',
      () => keeping({ payload: cosignPayload(digest), signature: ours.sign(cosignPayload('sha256:0')) }),
      /by none of the keys/,
    ],
    [
      'signed, but no payload of cosign',
      () => keeping(signed(ours, Buffer.from('{"critical":{}}'))),
      /what \/keys\/0.pub signed cannot be used: it is not in cosign's form/,
    ],
    [
      'signed, with a key twice',
      () => keeping(signed(ours, Buffer.from(`{"critical":1,${cosignPayload(digest).toString().slice(1)}`))),
      /a key twice: "critical"/,
    ],
    ['signed, and deep', () => keeping(signed(ours, Buffer.from('['.repeat(30_000) + ']'.repeat(30_000)))), /not in cosign's form/],
    ['payload missing', () => repository(signatureManifest([signed(ours)]), []), /a payload cannot be had: no such blob/],
    [
      'garbage instead of a signature',
      () => keeping({ payload: cosignPayload(digest), signature: '!!!!' }),
      /none of the 1 entries of sha256-a+.sig is a signature/,
    ],
    ['an empty signature', () => keeping({ payload: cosignPayload(digest), signature: '' }), /none of the 1 entries/],
    ['a huge signature', () => keeping({ payload: cosignPayload(digest), signature: 'A'.repeat(8192) }), /none of the 1 entries/],
    ['bytes that are no signature', () => keeping({ payload: cosignPayload(digest), signature: 'AAAA' }), /by none of the keys/],
    ['no annotation', () => changed((layer) => ({ ...layer, annotations: undefined })), /none of the 1 entries/],
    [
      'an annotation that is no text',
      () => changed((layer) => ({ ...layer, annotations: { 'dev.cosignproject.cosign/signature': 1 } })),
      /none of the 1 entries/,
    ],
    ['another media type', () => changed((layer) => ({ ...layer, mediaType: 'text/plain' })), /none of the 1 entries/],
    ['a payload said to be huge', () => changed((layer) => ({ ...layer, size: 2 ** 20 })), /none of the 1 entries/],
    ['a digest of another kind', () => changed((layer) => ({ ...layer, digest: 'sha512:00' })), /none of the 1 entries/],
    ['an empty manifest', () => repository(signatureManifest([]), []), /none of the 0 entries/],
    ['no manifest at all', () => repository(Buffer.from('<html>'), []), /leads to is no manifest of signatures/],
    ['a manifest without layers', () => repository(Buffer.from('{"schemaVersion":2}'), []), /leads to is no manifest of signatures/],
    [
      'a deep manifest',
      () => repository(Buffer.from('['.repeat(2 ** 20) + ']'.repeat(2 ** 20)), []),
      /leads to is no manifest of signatures/,
    ],
  ])('%s', async (_what, request, why) => {
    const message = await check(request());
    expect(message).toMatch(wants);
    expect(message).toMatch(why);
    expect(message.length).toBeLessThan(700);
  });

  test('a payload of other bytes than its digest, and one that is too large, though the registry let them pass', async () => {
    const good = signed(ours);
    const lying = (bytes: Buffer): RepositoryContents => ({ ...keeping(good), blob: async () => bytes });
    expect(await check(lying(Buffer.from('other')))).toMatch(/a payload has not the digest that the manifest says/);
    expect(await check(lying(Buffer.alloc(65_537)))).toMatch(/a payload is too large/);
  });

  test('only the last 32 of a thousand entries are looked at', async () => {
    const [good, bad] = [signed(ours), signed(theirs)];
    const many = (before: number, after: number): RepositoryContents =>
      keeping(...Array.from({ length: before }, () => bad), good, ...Array.from({ length: after }, () => bad));
    expect(await check(many(1_000, 31))).toBe('taken');
    expect(await check(many(0, 32))).toMatch(/of 32 looked at none is good: a signature is by none of the keys \/keys\/0.pub$/);
  });

  test('the policy refuses the repository, which is not asked', async () => {
    const request = keeping(signed(ours));
    expect(await check(request, { kind: 'refuse' })).toBe(
      "the node's signature policy refuses registry.example/disks/debian (by its rule for registry.example/disks)",
    );
    expect(request.asked).toEqual([]);
  });

  function changed(change: (layer: Record<string, unknown>) => object): RepositoryContents {
    const good = signed(ours);
    return repository(
      signatureManifest([good], (layers) => layers.map((layer) => change({ ...layer }))),
      [good.payload],
    );
  }
});

describe('what is not about the signature stays what it is', () => {
  test('a registry that is away is told as such', async () => {
    const away = new PullProblem('connection', 'no route');
    await expect(check({ ...keeping(signed(ours)), manifest: async () => Promise.reject(away) })).rejects.toBe(away);
    await expect(check({ ...keeping(signed(ours)), blob: async () => Promise.reject(away) })).rejects.toBe(away);
  });

  test('an abort is one', async () => {
    const reason = new DOMException('gone', 'AbortError');
    await expect(check({ ...keeping(signed(ours)), blob: async () => Promise.reject(reason) })).rejects.toBe(reason);
  });
});

test('a policy that cannot be read lets nothing in, and the message names the file', async () => {
  const policy = async (): Promise<Policy> => Promise.reject(invalid('images.signaturePolicy', '/etc/p.yaml: cannot be read: ENOENT'));
  const why = expect.objectContaining({
    kind: 'signature',
    registryAway: false,
    message: 'no image is taken while the signature policy cannot be used: images.signaturePolicy: /etc/p.yaml: cannot be read: ENOENT',
  });
  await expect(makeSignatureCheck({ policy })(image, keeping(signed(ours)), signal)).rejects.toThrow(why);
  await expect(checkUnsigned(policy, 'x')).rejects.toThrow(why);
});

describe('an image that comes from no registry', () => {
  test.each<[Rule, string]>([
    [{ kind: 'accept' }, 'taken'],
    [{ kind: 'refuse' }, "the node's signature policy refuses registry.example/disks/debian (by its rule for registry.example/disks)"],
    [ruleOf(), 'but it does not come from a registry, and other sources carry no signatures'],
  ])('%o', async (rule, expected) => {
    const answer = await checkUnsigned(() => policyOf(rule), repositoryName).then(
      () => 'taken',
      (error: Error) => error.message,
    );
    expect(answer).toContain(expected);
  });

  test('is matched by its name like others', async () => {
    await expect(checkUnsigned(() => policyOf({ kind: 'refuse' }), 'vm.example/cirros')).resolves.toBeUndefined();
  });
});
