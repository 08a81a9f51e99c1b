import { createHash } from 'node:crypto';
import { messageOf } from '../../lib/errno.ts';
import { hasCode } from '../../model/errors.ts';
import { PullProblem } from '../failures.ts';
import { parsePayload, payloadProblem, type SignedImage } from './payload.ts';
import { requirementFor, type Policy, type Requirement } from './policy.ts';
import { isSignedBy, type PublicKey } from './public-key.ts';
import { maxPayloadBytes, parseSignatureManifest, signatureTag, type SignatureLayer } from './signature-manifest.ts';

/** An image in a registry, and how its repository is asked for what belongs to it: the pull's own connection and credentials. */
export interface SignatureRequest extends SignedImage {
  /** A manifest by tag; `undefined` when there is none (404). Throws `PullProblem`. */
  readonly manifest: (tag: string, signal: AbortSignal) => Promise<{ readonly bytes: Uint8Array } | undefined>;
  /** A blob of at most `maxBytes`, in memory. Throws `PullProblem`. */
  readonly blob: (digest: string, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array>;
}

/** Answers when the node's policy takes the image. Throws `PullProblem`: of kind `signature` when it does not, else as the registry's answers go. */
export type SignatureCheck = (request: SignatureRequest, signal: AbortSignal) => Promise<void>;

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
export function makeSignatureCheck({ policy }: SignatureCheckOptions): SignatureCheck {
  return async (request, signal) => {
    const requirement = requirementFor(await current(policy), request.repositoryName);
    if (requirement.kind === 'accept') return;
    if (requirement.kind === 'refuse') throw refused(requirement, request.repositoryName);
    await requireSignature(requirement, request, signal);
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

async function requireSignature(requirement: Required, request: SignatureRequest, signal: AbortSignal): Promise<void> {
  const { digest, repositoryName } = request;
  const fail = (text: string): PullProblem => problem(requirement, repositoryName, text);
  const tag = signatureTag(digest);
  const manifest = await request.manifest(tag, signal);
  if (!manifest) throw fail(`but ${digest} has no signature: the repository has no tag ${tag}; sign it with cosign sign --key`);
  const found = parseSignatureManifest(manifest.bytes);
  if (!found) throw fail(`but what the tag ${tag} leads to is no manifest of signatures`);
  const payloads = makePayloads(request, signal);
  const problems: string[] = [];
  for (const layer of found.layers) {
    const wrong = await layerProblem(layer, { requirement, request, payloads });
    if (wrong === undefined) return;
    problems.push(wrong);
  }
  if (found.layers.length === 0)
    throw fail(`but none of the ${found.unusable} entries of ${tag} is a signature of cosign's that can be read`);
  throw fail(`but of ${found.layers.length} looked at none is good: ${[...new Set(problems)].slice(0, 3).join('; ')}`);
}

interface Judging {
  readonly requirement: Required;
  readonly request: SignatureRequest;
  readonly payloads: (layer: SignatureLayer) => Promise<Uint8Array | string>;
}

/** Why this signature is not the one that is wanted; the payload is read only when a key has signed it. */
async function layerProblem(layer: SignatureLayer, { requirement, request, payloads }: Judging): Promise<string | undefined> {
  const bytes = await payloads(layer);
  if (typeof bytes === 'string') return bytes;
  const key = await signerOf(requirement.keys, bytes, layer.signature);
  if (!key) return `a signature is by none of the keys ${requirement.keys.map(({ file }) => file).join(', ')}`;
  const payload = parsePayload(bytes);
  if (typeof payload === 'string') return `what ${key.file} signed cannot be used: ${payload}`;
  const wrong = payloadProblem(payload, request, requirement.identity);
  return wrong === undefined ? undefined : `the signature by ${key.file} ${wrong}`;
}

async function signerOf(keys: readonly PublicKey[], bytes: Uint8Array, signature: Uint8Array): Promise<PublicKey | undefined> {
  for (const key of keys) {
    if (await isSignedBy(key, bytes, signature)) return key;
  }
  return undefined;
}

/** Fetches payloads, each once: signatures by several keys are over the same bytes. A text says why one cannot be had. */
function makePayloads(request: SignatureRequest, signal: AbortSignal): Judging['payloads'] {
  const fetched = new Map<string, Uint8Array | string>();
  return async ({ digest }) => {
    const known = fetched.get(digest) ?? (await fetchPayload(request, digest, signal));
    fetched.set(digest, known);
    return known;
  };
}

async function fetchPayload(request: SignatureRequest, digest: string, signal: AbortSignal): Promise<Uint8Array | string> {
  try {
    const bytes = await request.blob(digest, maxPayloadBytes, signal);
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
