import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../lib/ids.ts';
import type { Log } from '../lib/log.ts';
import { makeSingleFlight } from '../lib/single-flight.ts';
import { VmletError } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import type { Door } from './door/door.ts';
import { download } from './transfer/download.ts';
import { PullProblem, toVmletError } from './failures.ts';
import type { Resolver } from './http/http-get.ts';
import { digestOfText, imageIdOf, type NameRecord } from './store/image-record.ts';
import { throttleProgress, type PullProgress } from './transfer/progress.ts';
import { keyOf, parseReference, type Reference } from './reference.ts';
import { countBytes, countPulls, noHooks, type PullHooks } from './pull-hooks.ts';
import type { Origin, SourceMap } from './sources/source-map.ts';
import type { Store } from './store/store.ts';
import { hasQcow2Magic } from './door/qcow2-header.ts';
import type { Validators } from './http/validators.ts';

/** Bounds of one download. */
export interface PullOptions {
  readonly maxBytes: number;
  readonly stallTimeoutMs: number;
}

/** What pulls work with. */
export interface PullDeps {
  readonly store: Store;
  readonly door: Door;
  readonly sources: SourceMap;
  readonly log: Log;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
  readonly resolver?: Resolver | undefined;
  readonly hooks?: PullHooks | undefined;
}

/** Pulls under way. */
export interface Pulls {
  /** As `Images.pull`. */
  readonly pull: (reference: string, signal: AbortSignal) => Promise<Image>;
  /** Cancels what is under way and answers when it has been undone. */
  readonly close: () => Promise<void>;
}

interface Fetched {
  readonly image: Image;
  readonly validators: Validators;
}

/** Makes the pulls. One download an origin (address, format, digest) at a time, whatever the names that lead to it. */
export function makePulls(options: PullOptions, deps: PullDeps): Pulls {
  const { store, door, sources, log, hooks = noHooks } = deps;
  const flights = makeSingleFlight({ whenAbandoned: 'cancel' });
  const closing = new AbortController();

  async function pull(text: string, caller: AbortSignal): Promise<Image> {
    const signal = AbortSignal.any([caller, closing.signal]);
    const reference = parseReference(text);
    const origin = sources(reference);
    try {
      return (await present(reference, origin)) ?? (await fetchAndName(text, { reference, origin }, signal));
    } catch (error) {
      throw toVmletError(error, text, store.layout.root);
    }
  }

  /** The image whose digest is known in advance and which is here already. */
  async function present(reference: Reference, origin: Origin): Promise<Image | undefined> {
    if (origin.digest === undefined) return undefined;
    const image = store.usable(imageIdOf(origin.format, origin.digest));
    if (!image) return undefined;
    const named = namesFor(reference, image.digest, image.id);
    const isNamed = named.every(({ key }) => [...image.repoTags, ...image.repoDigests].includes(key));
    return isNamed ? image : store.name(image.id, named);
  }

  async function fetchAndName(text: string, wanted: { reference: Reference; origin: Origin }, signal: AbortSignal): Promise<Image> {
    const { reference, origin } = wanted;
    const key = JSON.stringify([origin.url.href, origin.format, origin.digest ?? '']);
    for (;;) {
      const fetched = await flights.run(key, async (inner) => fetchOrigin(text, wanted, inner), signal);
      const names = namesFor(reference, fetched.image.digest, fetched.image.id, originOf(origin, fetched.validators));
      const image = await store.name(fetched.image.id, names);
      if (image) return image; // else it was removed between its arrival and here
      signal.throwIfAborted();
    }
  }

  async function fetchOrigin(text: string, wanted: { reference: Reference; origin: Origin }, signal: AbortSignal): Promise<Fetched> {
    const { reference, origin } = wanted;
    const known = knownOf(origin);
    const showProgress = deps.onProgress && throttleProgress(text, deps.onProgress);
    const count = countBytes(hooks);
    const path = join(store.layout.ingest, randomId());
    const started = performance.now();
    await using file = await open(path, 'wx+', 0o600);
    try {
      const received = await download(
        {
          url: origin.url,
          validators: known?.validators,
          ...options,
          reserve: async (bytes) => reserve(store.layout.root, bytes),
          onBytes: (receivedBytes, announced) => {
            count(receivedBytes);
            showProgress?.(receivedBytes, announced);
          },
          resolver: deps.resolver,
        },
        file,
        signal,
      );
      if (received.kind === 'unchanged') {
        const image = known && store.usable(known.imageId);
        if (!known || !image) throw new PullProblem('connection', 'the image was removed during the pull');
        return { image, validators: known.validators };
      }
      const { digest, sizeBytes, validators } = received;
      if (origin.digest !== undefined && digest !== origin.digest) {
        throw new PullProblem('digest', `the bytes have the digest ${digest}, not ${origin.digest}`);
      }
      await file.chmod(0o644);
      const [{ virtualSizeBytes, versions }] = await Promise.all([door.inspect(file, origin.format, signal), file.sync()]);
      if (origin.format === 'raw') await warnOfQcow2(text, file);
      const record = { digest, format: origin.format, sizeBytes, virtualSizeBytes, verdict: versions };
      const names = namesFor(reference, digest, imageIdOf(origin.format, digest), originOf(origin, validators));
      const image = await store.add(path, record, names);
      log.info({ reference: text, imageId: image.id, sizeBytes, durationMs: Math.round(performance.now() - started) }, 'image pulled');
      return { image, validators };
    } finally {
      await rm(path, { force: true });
    }
  }

  /** The usable image that came from this origin last, and how the server knows it. */
  function knownOf(origin: Origin): { imageId: string; validators: Validators } | undefined {
    const urlDigest = digestOfText(origin.url.href);
    for (const { imageId, origin: from } of store.names()) {
      if (from?.urlDigest !== urlDigest || (from.etag === undefined && from.lastModified === undefined)) continue;
      const image = store.usable(imageId);
      const fits = image?.format === origin.format && (origin.digest === undefined || origin.digest === image.digest);
      if (fits) return { imageId, validators: { etag: from.etag, lastModified: from.lastModified } };
    }
    return undefined;
  }

  async function warnOfQcow2(
    text: string,
    file: { read: (buffer: Uint8Array, options: { position: number }) => Promise<unknown> },
  ): Promise<void> {
    const beginning = new Uint8Array(4);
    await file.read(beginning, { position: 0 });
    if (hasQcow2Magic(beginning)) log.warn({ reference: text }, 'raw image begins as a qcow2 disk: is its format in images.sources right?');
  }

  return {
    pull: countPulls(hooks, pull),
    close: async () => {
      closing.abort(new DOMException('the image store is closing', 'AbortError'));
      await flights.settled();
    },
  };
}

/**
 * The records of a reference that leads to an image: the name with the digest, by which it may be pinned, and its key. The key comes last: if
 * the disk is full, a tag stays where it was.
 */
function namesFor(reference: Reference, digest: string, imageId: string, origin?: NameRecord['origin']): readonly NameRecord[] {
  const keys = new Set([`${reference.name}@${digest}`, keyOf(reference)]);
  return [...keys].map((key) => ({ key, imageId, ...(origin === undefined || key.includes('@') ? {} : { origin }) }));
}

function originOf(origin: Origin, { etag, lastModified }: Validators): NameRecord['origin'] {
  return {
    urlDigest: digestOfText(origin.url.href),
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
}

async function reserve(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bytes > bavail * bsize)
    throw new VmletError({ code: 'DISK_FULL', path: dir }, `${dir}: ${bytes} bytes are announced and ${bavail * bsize} are free`);
}
