import { createHash } from 'node:crypto';
import { messageOf } from '../../lib/errno.ts';
import { hasCode } from '../../model/errors.ts';
import { PullProblem } from '../failures.ts';
import type { NamedImage, RepositoryContents, VerifySignature } from '../registry/registry.ts';
import { parsePayload, payloadProblem, type SignedImage } from './payload.ts';
import { requirementFor, type Policy, type Requirement } from './policy.ts';
import { isSignedBy, type PublicKey } from './public-key.ts';
import { maxPayloadBytes, parseSignatureManifest, signatureTag, type SignatureLayer } from './signature-manifest.ts';

/** What the check works with. */
export interface SignatureCheckOptions {
  /** The policy that holds now. What it throws refuses the image: a policy that cannot be read lets nothing in. */
  readonly policy: () => Promise<Policy> | Policy;
}

type Required = Extract<Requirement, { kind: 'require' }>;

/**
 * Checks signatures as cosign makes them with a key (`cosign sign --key`): a manifest under the tag `sha256-<hex>.sig` in the image's repository,
 * each layer a payload, with the signature over its bytes in an annotation. One good signature is enough. Not looked at: signatures in OCI 1.1
 * referrers (cosign's bundle format), certificates, transparency logs.
 * Source: cosign's specs/SIGNATURE_SPEC.md and containers-signature(5).
 */
export function makeSignatureCheck({ policy }: SignatureCheckOptions): VerifySignature {
  return async ({ host, repository, digest }: NamedImage, contents, signal) => {
    const repositoryName = `${host}/${repository}`;
    const requirement = requirementFor(await current(policy), repositoryName);
    if (requirement.kind === 'accept') return;
    if (requirement.kind === 'refuse') throw refused(requirement, repositoryName);
    await requireSignature({ requirement, image: { digest, repositoryName }, contents }, signal);
  };
}

/**
 * What the policy says of an image that comes from no registry (HTTP, a file): such sources carry no signature, so what requires one refuses
 * them. `name` is the reference's. Throws `PullProblem` of kind `signature`.
 */
export async function checkUnsigned(policy: SignatureCheckOptions['policy'], name: string): Promise<void> {
  const requirement = requirementFor(await current(policy), name);
  if (requirement.kind === 'accept') return;
  if (requirement.kind === 'refuse') throw refused(requirement, name);
  throw problem(
    requirement,
    name,
    'but it does not come from a registry, and other sources carry no signatures: accept it there, or push it to a registry',
  );
}

interface Judging {
  readonly requirement: Required;
  readonly image: SignedImage;
  readonly contents: RepositoryContents;
}

/** Whether the policy refuses whatever has this name, before anybody is asked for it. Throws `PullProblem` of kind `signature`. */
export async function checkName(policy: SignatureCheckOptions['policy'], name: string): Promise<void> {
  const requirement = requirementFor(await current(policy), name);
  if (requirement.kind === 'refuse') throw refused(requirement, name);
}

async function requireSignature(judging: Judging, signal: AbortSignal): Promise<void> {
  const { requirement, image, contents } = judging;
  const fail = (text: string): PullProblem => problem(requirement, image.repositoryName, text);
  const tag = signatureTag(image.digest);
  const manifest = await contents.manifest(tag, signal);
  if (!manifest) throw fail(`but ${image.digest} has no signature: the repository has no tag ${tag}; sign it with cosign sign --key`);
  const found = parseSignatureManifest(manifest.bytes);
  if (!found) throw fail(`but what the tag ${tag} leads to is no manifest of signatures`);
  const payloads = makePayloads(contents, signal);
  const problems = new Set<string>();
  for (const layer of found.layers) {
    const bytes = await payloads(layer);
    const wrong = typeof bytes === 'string' ? bytes : await signatureProblem(bytes, layer.signature, judging);
    if (wrong === undefined) return;
    problems.add(wrong);
  }
  if (found.layers.length === 0)
    throw fail(`but none of the ${found.unusable} entries of ${tag} is a signature of cosign's that can be read`);
  throw fail(`but of ${found.layers.length} looked at none is good: ${[...problems].slice(0, 3).join('; ')}`);
}

/** Why this signature is not the one that is wanted. What the payload says is read only when a key has signed it. */
async function signatureProblem(bytes: Uint8Array, signature: Uint8Array, { requirement, image }: Judging): Promise<string | undefined> {
  const key = await signerOf(requirement.keys, bytes, signature);
  if (!key) return `a signature is by none of the keys ${requirement.keys.map(({ file }) => file).join(', ')}`;
  const payload = parsePayload(bytes);
  if (typeof payload === 'string') return `what ${key.file} signed cannot be used: ${payload}`;
  const wrong = payloadProblem(payload, image, requirement.identity);
  return wrong === undefined ? undefined : `the signature by ${key.file} ${wrong}`;
}

async function signerOf(keys: readonly PublicKey[], bytes: Uint8Array, signature: Uint8Array): Promise<PublicKey | undefined> {
  for (const key of keys) {
    if (await isSignedBy(key, bytes, signature)) return key;
  }
  return undefined;
}

/** Fetches payloads, each once: signatures by several keys are over the same bytes. A text says why one cannot be had. */
function makePayloads(contents: RepositoryContents, signal: AbortSignal): (layer: SignatureLayer) => Promise<Uint8Array | string> {
  const fetched = new Map<string, Uint8Array | string>();
  return async ({ digest }) => {
    const known = fetched.get(digest) ?? (await fetchPayload(contents, digest, signal));
    fetched.set(digest, known);
    return known;
  };
}

async function fetchPayload(contents: RepositoryContents, digest: string, signal: AbortSignal): Promise<Uint8Array | string> {
  try {
    const bytes = await contents.blob(digest, maxPayloadBytes, signal);
    if (bytes.length > maxPayloadBytes) return 'a payload is too large';
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest)
      return 'a payload has not the digest that the manifest says';
    return bytes;
  } catch (error) {
    if (error instanceof PullProblem && !error.registryAway) return `a payload cannot be had: ${error.message}`;
    throw error; // trying again may help
  }
}

async function current(policy: SignatureCheckOptions['policy']): Promise<Policy> {
  try {
    return await policy();
  } catch (error) {
    if (!hasCode(error, 'INVALID')) throw error;
    throw new PullProblem('signature', `no image is taken while the signature policy cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function refused(requirement: Requirement, name: string): PullProblem {
  return new PullProblem('signature', `the node's signature policy refuses ${name} (${where(requirement)})`);
}

function problem(requirement: Requirement, name: string, text: string): PullProblem {
  return new PullProblem('signature', `the node's signature policy wants ${name} signed (${where(requirement)}), ${text}`);
}

function where({ scope }: Requirement): string {
  return scope === 'default' ? 'by its default' : `by its rule for ${scope}`;
}
