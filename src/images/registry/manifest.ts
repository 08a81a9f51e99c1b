import { z } from 'zod';
import { PullProblem } from '../failures.ts';
import { parseBoundedJson } from '../bounded-json.ts';
import { manifestKindOf } from './media-types.ts';
import { quoted } from '../quoted.ts';
import type { RawManifest } from './registry.ts';

const digestForm = /^sha256:[0-9a-f]{64}$/;
const mostLayers = 64;
const mostEntries = 1000;

/** Of a file that is a layer; OCI image-spec 1.1, "Pre-Defined Annotation Keys". */
export const titleKey = 'org.opencontainers.image.title';

const descriptor = z.object({
  mediaType: z.string().min(1).max(255),
  digest: z.string().max(255),
  size: z.int().min(0),
  urls: z.custom<unknown[]>(Array.isArray).nullish(),
  annotations: z.object({ [titleKey]: z.unknown().optional() }).nullish(),
});

const entry = descriptor.extend({
  platform: z.object({ os: z.string(), architecture: z.string(), variant: z.string().nullish() }).nullish(),
});

const head = { schemaVersion: z.literal(2), mediaType: z.string().nullish(), artifactType: z.string().nullish() };
const image = z.object({ ...head, config: descriptor, layers: z.array(descriptor), manifests: z.undefined().optional() });
const index = z.object({ ...head, manifests: z.array(entry), layers: z.undefined().optional(), config: z.undefined().optional() });

/** What a manifest says of a blob; its digest may be of any kind until it is asked for. */
export type Descriptor = z.output<typeof descriptor>;

/** What an index says of a manifest. */
export type IndexEntry = z.output<typeof entry>;

/** A manifest of one image or artifact. */
export interface ImageManifest {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly artifactType: string | undefined;
  readonly layers: readonly Descriptor[];
}

/** Manifests by platform. */
export interface IndexManifest {
  readonly kind: 'index';
  readonly entries: readonly IndexEntry[];
}

/** Reads a manifest; `what` names it in messages. Throws `PullProblem` (manifest) for what contradicts itself or the specification (OCI image-spec 1.1). */
export function parseManifest({ mediaType, bytes }: RawManifest, what: string): ImageManifest | IndexManifest {
  const problem = (text: string): PullProblem => new PullProblem('manifest', `${what} ${text}`);
  const kind = manifestKindOf(mediaType);
  const json = parseBoundedJson(bytes);
  refuseMany(json, problem);
  const result = (kind === 'index' ? index : image).safeParse(json);
  if (kind === undefined) throw problem(`is ${quoted(mediaType)}, which is no image`);
  if (!result.success)
    throw problem(`is no ${kind === 'index' ? 'index' : 'manifest'} by the OCI specification (${issueOf(result.error)})`);
  const { data } = result;
  if (typeof data.mediaType === 'string' && data.mediaType !== mediaType) {
    throw problem(`calls itself ${quoted(data.mediaType)}, but was sent as ${mediaType}`);
  }
  if (data.manifests !== undefined) return { kind: 'index', entries: data.manifests };
  if (data.layers.length === 0) throw problem('has no layers');
  return { kind: 'image', config: data.config, layers: data.layers, artifactType: data.artifactType || undefined };
}

/** The descriptor's digest, if it is one that can be asked for. Throws `PullProblem` (manifest). */
export function sha256Of({ digest }: Descriptor, what: string): string {
  if (digestForm.test(digest)) return digest;
  throw new PullProblem('manifest', `${what} names ${quoted(digest)}, which is no sha256 digest`);
}

/** True for a digest that we can verify. */
export function isSha256(text: string): boolean {
  return digestForm.test(text);
}

/** Looked at before the rest: to judge a million entries one by one takes seconds. */
function refuseMany(json: unknown, problem: (text: string) => PullProblem): void {
  const counts = z.object({
    layers: z.custom<unknown[]>(Array.isArray).optional(),
    manifests: z.custom<unknown[]>(Array.isArray).optional(),
  });
  const { layers = [], manifests = [] } = counts.safeParse(json).data ?? {};
  if (layers.length > mostLayers) throw problem(`has ${layers.length} layers, more than ${mostLayers}`);
  if (manifests.length > mostEntries) throw problem(`has ${manifests.length} entries, more than ${mostEntries}`);
}

function issueOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const path = (issue?.path ?? []).join('.');
  return path === '' ? 'no JSON object, or one of too many parts' : `field ${quoted(path)}`;
}
