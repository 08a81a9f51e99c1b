import { createHash } from 'node:crypto';
import { PullProblem } from '../failures.ts';
import { readBody } from '../http/read-body.ts';
import { watchForStall } from '../http/stall-watch.ts';
import { isTag } from '../reference.ts';
import type { BlobSource } from '../transfer/blob-source.ts';
import { NotFound } from './answer-problem.ts';
import { askInOrder, withRetries, type Wait } from './fallback.ts';
import type { HostSession } from './host-session.ts';
import { isSha256 } from './manifest.ts';
import { acceptedManifests, bareMediaType, isSchema1, manifestKindOf } from './media-types.ts';
import { quoted } from '../quoted.ts';
import type { RawManifest, RepositoryContents } from './registry.ts';

/** What lies in one repository, over all hosts that may have it. */
export interface Repository extends RepositoryContents {
  /** As `manifest`; throws `NotFound` when there is none. */
  readonly existingManifest: (tagOrDigest: string, signal: AbortSignal) => Promise<RawManifest>;
  /** A blob's bytes from the first host that gives them; the next one is asked when it does not. Not verified. */
  readonly source: (digest: string) => BlobSource;
}

/** What a repository is read through. */
export interface RepositoryOptions {
  /** `docker.io/library/x`, for messages. */
  readonly name: string;
  /** In the order in which they are asked. */
  readonly sessions: readonly HostSession[];
  readonly wait: Wait;
}

const longestReadMs = 60_000;
const maxManifestBytes = 4 * 2 ** 20; // what registries must accept, distribution-spec 1.1, "Pushing Manifests"

/** Makes a repository's reader. */
export function makeRepository({ name: repository, sessions, wait }: RepositoryOptions): Repository {
  const named = sessions.map((session) => ({ name: session.host.url.host, session }));
  const canPull = named.filter(({ session }) => session.host.canPull);
  const canResolve = canPull.filter(({ session }) => session.host.canResolve);

  async function existingManifest(tagOrDigest: string, signal: AbortSignal): Promise<RawManifest> {
    const byDigest = isSha256(tagOrDigest);
    const what = `manifest ${quoted(tagOrDigest)} of ${repository}`;
    if (!byDigest && !isTag(tagOrDigest)) throw new PullProblem('manifest', `${what} has neither a tag nor a sha256 digest`);
    const ask = async (): Promise<RawManifest> => {
      const hosts = byDigest ? canPull : canResolve;
      const { answer } = await askInOrder(hosts, async ({ session }) => readManifest(session, { tagOrDigest, what }, signal));
      return answer;
    };
    return withRetries(ask, wait, signal);
  }

  function source(digest: string): BlobSource {
    let first = 0;
    const sources = canPull.map(({ name, session }) => ({ name, source: session.blob(digest) }));
    return {
      name: `${repository}@${digest}`,
      open: async (request, signal) => {
        const { answer, index } = await askInOrder(sources, async (each) => each.source.open(request, signal), first);
        first = index; // whoever had the beginning is likely to have the rest
        return answer;
      },
    };
  }

  return {
    existingManifest,
    manifest: async (tagOrDigest, signal) => {
      try {
        return await existingManifest(tagOrDigest, signal);
      } catch (error) {
        if (error instanceof NotFound) return undefined;
        throw error;
      }
    },
    blob: async (digest, maxBytes, signal) => {
      const what = `blob ${quoted(digest)} of ${repository}`;
      if (!isSha256(digest)) throw new PullProblem('manifest', `${what} has no sha256 digest`);
      const read = async (): Promise<Buffer> => readBlob(source(digest), { maxBytes, what }, signal);
      const bytes = await withRetries(read, wait, signal);
      if (sha256(bytes) !== digest) throw new PullProblem('digest', `${what} has another digest: ${sha256(bytes)}`);
      return bytes;
    },
    source,
  };
}

async function readManifest(
  session: HostSession,
  { tagOrDigest, what }: { readonly tagOrDigest: string; readonly what: string },
  signal: AbortSignal,
): Promise<RawManifest> {
  const answer = await session.get(`manifests/${tagOrDigest}`, { accept: acceptedManifests, what }, signal);
  try {
    const mediaType = bareMediaType(answer.headers['content-type']);
    refuseType(mediaType, what);
    if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity')
      throw new PullProblem('answer', `${what} was sent with an encoding that was not asked for`);
    const bytes = await readBody(answer, maxManifestBytes, signal);
    const digest = sha256(bytes);
    const announced = answer.headers['docker-content-digest'];
    const wanted = isSha256(tagOrDigest) ? tagOrDigest : announced;
    if (wanted !== undefined && wanted !== digest)
      throw new PullProblem('digest', `${what} has the digest ${digest}, not ${quoted(String(wanted))}`);
    return { mediaType, bytes, digest };
  } finally {
    answer.response.destroy(); // does nothing to a connection whose answer was read to its end
  }
}

function refuseType(mediaType: string, what: string): void {
  if (manifestKindOf(mediaType) !== undefined) return;
  if (isSchema1(mediaType)) {
    throw new PullProblem(
      'manifest',
      `${what} is of Docker's old schema 1, whose layers cannot be verified: push the image again with a current program`,
    );
  }
  if (/^(text\/html|application\/xhtml\+xml)$/.test(mediaType))
    throw new PullProblem('web-page', `${what} is a web page: is this a registry?`);
  throw new PullProblem('answer', `${what} was sent as ${quoted(mediaType)}, which is no manifest: is this a registry?`);
}

async function readBlob(
  source: BlobSource,
  { maxBytes, what }: { readonly maxBytes: number; readonly what: string },
  signal: AbortSignal,
): Promise<Buffer> {
  using watch = watchForStall(longestReadMs, what, signal); // never touched: so long may the whole take
  const body = await source.open({}, watch.signal);
  if (body.kind !== 'body') throw new PullProblem('answer', `${what} was not sent`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body.chunks) {
    length += chunk.length;
    if (length > maxBytes) throw new PullProblem('too-large', `${what} has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
