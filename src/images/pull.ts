import type { Log } from '../lib/log.ts';
import { shareDisposable, type SharedDisposable } from '../lib/shared-disposable.ts';
import { makeSingleFlight } from '../lib/single-flight.ts';
import type { Image } from '../model/image.ts';
import { toVmletError } from './failures.ts';
import type { Validators } from './http/validators.ts';
import type { Intake, Taken } from './intake.ts';
import { namesFor } from './names.ts';
import { countPulls, noHooks, type PullHooks } from './pull-hooks.ts';
import { parseReference, type Reference } from './reference.ts';
import type { OpenRegistry, RegistryAuth } from './registry/registry.ts';
import type { OpenSource } from './sources/open-source.ts';
import type { OriginOf } from './sources/origin.ts';
import { digestOfText, imageIdOf } from './store/image-record.ts';
import type { Store } from './store/store.ts';
import { wantedOfFile, wantedOfLayers, type Wanted } from './wanted.ts';

/** What a caller wants. */
export interface PullRequest {
  /** As the pod names it. */
  readonly reference: string;
  /** Credentials for a registry; a mapping has its own. */
  readonly auth?: RegistryAuth | undefined;
}

/** What pulls work with. */
export interface PullDeps {
  readonly store: Store;
  /** The mappings that hold now. */
  readonly originOf: OriginOf;
  readonly openRegistry: OpenRegistry;
  readonly openSource: OpenSource;
  /** Throws `PullProblem` when the policy refuses the name, so that nobody is asked for it. */
  readonly checkName: (name: string) => Promise<void>;
  /** Throws `PullProblem` when the policy wants a signature for this name, which nothing but a registry can give. */
  readonly checkUnsigned: (name: string) => Promise<void>;
  readonly intake: Intake;
  readonly log: Log;
  readonly hooks?: PullHooks | undefined;
}

/** Pulls under way. */
export interface Pulls {
  /** As `Images.pull`. */
  readonly pull: (request: PullRequest, signal: AbortSignal) => Promise<Image>;
  /** Cancels what is under way, keeps what has arrived for the next start, and answers when all is at rest. */
  readonly close: () => Promise<void>;
}

/** The reason of a pull that ends with the daemon: what has arrived is kept. */
export const closingReason = new DOMException('the image store is closing', 'AbortError');

/** What a reference turned out to mean. */
interface Found {
  readonly reference: Reference;
  readonly wanted: Wanted;
  /** Of the manifest; without one the disk's own digest is what `repo_digests` shows. */
  readonly manifestDigest: string | undefined;
  /** What the parts are had through: the download holds them too, for whoever began it may leave before the others. */
  readonly connections: SharedDisposable;
  /** Digest of what decides whether the parts can be had: who has another way may succeed where this one failed. */
  readonly way: string;
}

/** A download's failure, with the way on which it failed. Does not leave this file. */
class FailedWay extends Error {
  override readonly name = 'FailedWay';
  readonly way: string;

  constructor(way: string, cause: unknown) {
    super('a download failed', { cause });
    this.way = way;
  }
}

/** Makes the pulls. One download of a content at a time, whatever the names that lead to it. */
export function makePulls(deps: PullDeps): Pulls {
  const { store, originOf, openRegistry, openSource, checkName, checkUnsigned, intake, log, hooks = noHooks } = deps;
  const flights = makeSingleFlight({ whenAbandoned: 'cancel' });
  const closing = new AbortController();

  async function pull({ reference: text, auth }: PullRequest, caller: AbortSignal): Promise<Image> {
    const signal = AbortSignal.any([caller, closing.signal]);
    try {
      const reference = parseReference(text);
      const origin = originOf(reference);
      const way = digestOfText(JSON.stringify([reference.name, auth ?? {}]));
      if (origin.kind === 'registry') {
        await checkName(reference.name);
        const registry = openRegistry(auth);
        const connections = shareDisposable(registry);
        using _mine = connections.hold();
        const resolved = await registry.resolve(origin.reference, signal);
        const wanted = wantedOfLayers(resolved);
        return await have({ reference, wanted, manifestDigest: resolved.digest, connections, way }, text, signal);
      }
      await checkUnsigned(reference.name);
      const opened = openSource(origin);
      const connections = shareDisposable(opened);
      using _mine = connections.hold();
      const wanted = wantedOfFile(origin, opened.source);
      return await have({ reference, wanted, manifestDigest: undefined, connections, way }, text, signal);
    } catch (error) {
      throw toVmletError(error, text, store.layout.root);
    }
  }

  async function have(found: Found, text: string, signal: AbortSignal): Promise<Image> {
    return (await present(found)) ?? fetchAndName(found, text, signal);
  }

  /** The image whose content is known in advance and which is here already. */
  async function present({ reference, wanted, manifestDigest }: Found): Promise<Image | undefined> {
    const image = imageOf(wanted);
    const digest = manifestDigest ?? wanted.diskDigest;
    if (!image || digest === undefined) return undefined;
    const names = namesFor(reference, image.id, digest);
    const isNamed = names.every(({ key }) => [...image.repoTags, ...image.repoDigests].includes(key));
    return isNamed ? image : store.tie(image.id, { names, contents: contentsOf(wanted) });
  }

  function imageOf({ content, diskDigest, parts }: Wanted): Image | undefined {
    if (content === undefined) return undefined;
    const known = store.ofContent(content);
    const format = parts[0]?.format;
    if (known || diskDigest === undefined || (format !== 'qcow2' && format !== 'raw')) return known;
    return store.usable(imageIdOf(format, diskDigest));
  }

  async function fetchAndName(found: Found, text: string, signal: AbortSignal): Promise<Image> {
    const { reference, wanted, manifestDigest } = found;
    for (;;) {
      const taken = await fetchOrJoin(found, text, signal);
      if (!taken) continue;
      const image = await store.tie(taken.image.id, tiesOf(reference, wanted, { ...taken, digest: manifestDigest ?? taken.diskDigest }));
      if (image) return image; // else it was removed between its arrival and here
      signal.throwIfAborted();
    }
  }

  /** Nothing where a download failed that was joined and had another way: a registry that lies, or wants other credentials, is not ours. */
  async function fetchOrJoin(found: Found, text: string, signal: AbortSignal): Promise<Taken | undefined> {
    const { wanted, way } = found;
    const work = async (inner: AbortSignal): Promise<Taken> => {
      try {
        return await fetch(found, text, inner);
      } catch (error) {
        throw new FailedWay(way, error);
      }
    };
    try {
      return await flights.run(wanted.flight, work, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof FailedWay)) throw error;
      if (error.way !== way) return undefined;
      throw error.cause;
    }
  }

  async function fetch({ reference, wanted, manifestDigest, connections }: Found, text: string, signal: AbortSignal): Promise<Taken> {
    using _held = connections.hold();
    const started = performance.now();
    const known = knownOf(wanted);
    const taken = await intake(
      {
        text,
        wanted,
        known,
        tiesOf: (imageId, { diskDigest, validators }) =>
          tiesOf(reference, wanted, { image: { id: imageId }, validators, digest: manifestDigest ?? diskDigest }),
      },
      signal,
    );
    const { id: imageId, sizeBytes } = taken.image;
    log.info({ reference: text, imageId, sizeBytes, durationMs: Math.round(performance.now() - started) }, 'image pulled');
    return taken;
  }

  /** The usable image that came from this origin last, under whatever name, and how the server knows it. */
  function knownOf({ origin, diskDigest }: Wanted): Taken | undefined {
    if (origin === undefined || diskDigest !== undefined) return undefined;
    for (const { key, imageId, origin: from } of store.names()) {
      if (from?.urlDigest !== origin || (from.etag === undefined && from.lastModified === undefined)) continue;
      const image = store.usable(imageId);
      if (!image) continue;
      const { name } = parseReference(key);
      const named = image.repoDigests.find((each) => each.startsWith(`${name}@`))?.slice(name.length + 1); // of a converted disk, the original's
      return { image, diskDigest: named ?? image.digest, validators: { etag: from.etag, lastModified: from.lastModified } };
    }
    return undefined;
  }

  return {
    pull: countPulls(hooks, pull),
    close: async () => {
      closing.abort(closingReason);
      await flights.settled();
    },
  };
}

function tiesOf(
  reference: Reference,
  wanted: Wanted,
  found: { readonly image: { readonly id: string }; readonly digest: string; readonly validators: Validators },
) {
  const from = { origin: wanted.origin, validators: found.validators };
  return { names: namesFor(reference, found.image.id, found.digest, from), contents: contentsOf(wanted) };
}

function contentsOf({ content }: Wanted): readonly string[] {
  return content === undefined ? [] : [content];
}
