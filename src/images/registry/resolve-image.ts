import { PullProblem } from '../failures.ts';
import type { Reference } from '../reference.ts';
import { diskLayersOf, isContainerImage } from './disk-layers.ts';
import { parseManifest, sha256Of, type ImageManifest } from './manifest.ts';
import { checkConfigPlatform, chooseEntry, type Architecture } from './platform.ts';
import { quoted } from '../quoted.ts';
import type { RawManifest, ResolvedImage, VerifySignature } from './registry.ts';
import { repositoryNameOf } from './repository-name.ts';
import type { Repository } from './repository.ts';

/** What is resolved and against what. */
export interface ResolveRequest {
  readonly reference: Reference;
  readonly repository: Repository;
  readonly architecture: Architecture;
  /** Largest sum of the layers, bytes. */
  readonly maxBytes: number;
  readonly verifySignature: VerifySignature | undefined;
}

const deepestIndex = 2;
const maxConfigBytes = 4 * 2 ** 20;

/** Follows a reference to the layers that hold the disk. Throws as `RegistryPull.resolve`. */
export async function resolveImage(request: ResolveRequest, signal: AbortSignal): Promise<ResolvedImage> {
  const { reference, repository, architecture, maxBytes, verifySignature } = request;
  const { host, repository: name, tagOrDigest } = repositoryNameOf(reference);
  const top = await repository.existingManifest(tagOrDigest, signal);
  await verifySignature?.({ host, repository: name, reference, digest: top.digest }, repository, signal);
  const what = `${host}/${name}`;
  const { manifest, isOfPlatform } = await imageIn(top, { repository, architecture, what }, signal);
  if (isContainerImage(manifest) && !isOfPlatform) {
    const digest = sha256Of(manifest.config, what);
    checkConfigPlatform(await repository.blob(digest, Math.min(manifest.config.size, maxConfigBytes), signal), architecture, what);
  }
  const layers = diskLayersOf(manifest, maxBytes, what);
  return { digest: top.digest, layers: layers.map((layer) => ({ ...layer, source: repository.source(layer.digest) })) };
}

interface Found {
  readonly manifest: ImageManifest;
  /** Whether an index said that it is for our platform. */
  readonly isOfPlatform: boolean;
}

/** The image that a manifest is, or that an index has for our platform; an index may hold one more index. */
async function imageIn(
  top: RawManifest,
  { repository, architecture, what }: Pick<ResolveRequest, 'repository' | 'architecture'> & { readonly what: string },
  signal: AbortSignal,
): Promise<Found> {
  let isOfPlatform = false;
  let raw = top;
  for (let depth = 1; ; depth += 1) {
    const parsed = parseManifest(raw, what);
    if (parsed.kind === 'image') return { manifest: parsed, isOfPlatform };
    if (depth > deepestIndex) throw new PullProblem('manifest', `${what} has indexes within indexes, more than ${deepestIndex} deep`);
    const entry = chooseEntry(parsed.entries, architecture, what);
    const digest = sha256Of(entry, what);
    raw = await repository.existingManifest(digest, signal);
    if (raw.bytes.length !== entry.size)
      throw new PullProblem('manifest', `${what}: ${digest} has ${raw.bytes.length} bytes, its index says ${entry.size}`);
    if (raw.mediaType !== entry.mediaType)
      throw new PullProblem('manifest', `${what}: ${digest} was sent as ${raw.mediaType}, its index says ${quoted(entry.mediaType)}`);
    isOfPlatform ||= Boolean(entry.platform);
  }
}
