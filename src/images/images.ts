import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { makeSpaceSampler } from '../lib/space-sampler.ts';
import type { Image } from '../model/image.ts';
import type { OpenRecords } from '../records/records.ts';
import { makeConverter } from './door/convert.ts';
import { makeDoor } from './door/door.ts';
import type { ForeignFormat } from './door/foreign-header.ts';
import type { Resolver } from './http/http-get.ts';
import { parseNetwork } from './http/address-rules.ts';
import { plainTransport } from './http/transport.ts';
import { makeIntake } from './intake.ts';
import { makePartialFiles } from './partial-files.ts';
import { makeFetchPart } from './part.ts';
import { closingReason, makePulls, type PullRequest } from './pull.ts';
import { countInspections, noHooks, type PullHooks } from './pull-hooks.ts';
import { keyOf, parseReference } from './reference.ts';
import { makeRegistry } from './registry/registry-pull.ts';
import { makeNodePolicy } from './signature/node-policy.ts';
import { makeOpenSource } from './sources/open-source.ts';
import { makeOrigins, type SourcesInput } from './sources/source-map.ts';
import { makeFreeSpace } from './store/free-space.ts';
import { openStore } from './store/store.ts';
import { renewVerdicts } from './store/verdicts.ts';
import type { PullProgress } from './transfer/progress.ts';

export type { ImageSource, SourcesInput } from './sources/source-map.ts';
export type { RegistryAuth } from './registry/registry.ts';
export type { PullHooks } from './pull-hooks.ts';
export type { PullRequest } from './pull.ts';
export type { PullProgress } from './transfer/progress.ts';
export { diskReadings, verifyDiskFile, type Verdict, type VerifyOptions } from './verify/verify.ts';

/** Space that the store uses, for CRI's ImageFsInfo. */
export interface ImageFsUsage {
  /** An existing directory on the store's file system. */
  readonly mountpoint: string;
  /** Bytes and inodes that images use. */
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

/** Disk images on this node: from a source through the door into the store. Reads answer from memory. */
export interface Images {
  /**
   * Makes the image that a reference names present and answers it. One download per content however many callers; a caller that goes
   * away cancels it only when nobody else waits. Errors: INVALID (unparsable or forbidden reference), PULL_FAILED, IMAGE_REFUSED, DISK_FULL.
   */
  readonly pull: (request: PullRequest, signal: AbortSignal) => Promise<Image>;
  /** The image with this id, name with tag, name without tag (`:latest`), or digest reference; `undefined` when absent. Throws INVALID when unparsable. */
  readonly find: (reference: string) => Image | undefined;
  /** All images, in a stable order. */
  readonly list: () => readonly Image[];
  /** Removes the image with all its names; absent is fine. Errors: IMAGE_IN_USE while a root disk depends on it. */
  readonly remove: (reference: string, signal: AbortSignal) => Promise<void>;
  /** Marks the image as the base of a VM's root disk until released. Idempotent by holder. Throws IMAGE_NOT_FOUND. */
  readonly hold: (imageId: string, containerId: string) => Image;
  readonly release: (imageId: string, containerId: string) => void;
  /** Throws DISK_FULL when no further root disk should be made where no kubelet frees space (`images.minFree`). */
  readonly admitDisk: () => Promise<void>;
  /** Space in use, sampled in the background at most a few seconds ago. */
  readonly usage: () => ImageFsUsage;
}

/** How images are pulled, judged and kept. Sizes in bytes. */
export interface ImagesOptions {
  /** The store's own directory, made 0711. QEMU opens base images by path, so its parents must let every user pass (0711). */
  readonly storeDir: string;
  readonly sources: SourcesInput;
  /** `images.registryHostsDir` */
  readonly registryHostsDir: string;
  /** `images.signaturePolicy` */
  readonly signaturePolicy?: string | undefined;
  /** Networks in CIDR form that any server may be in. */
  readonly allowedNetworks: readonly string[];
  /** Foreign formats that are converted. */
  readonly convert: readonly ForeignFormat[];
  /** Names of images that a kubelet shall not collect. */
  readonly pinned: readonly string[];
  /** Most downloads at a time, and most connections of each. */
  readonly maxPulls: number;
  readonly connections: number;
  /** Largest download, and largest file that it unpacks to. */
  readonly maxBytes: number;
  /** Largest disk that a guest may see. */
  readonly maxVirtualBytes: number;
  /** See `FreeSpaceOptions`. */
  readonly minFreeBytes: number;
  readonly kubeletRoot: string;
  /** A download that makes no progress for this long is tried again, milliseconds. */
  readonly stallTimeoutMs: number;
  /** When a download is tried again: attempts in a row without a byte, and the first and longest pause between them, milliseconds. */
  readonly retry: { readonly maxAttempts: number; readonly baseMs?: number; readonly maxMs?: number };
  /** The program that judges disks; default `qemu-img`. */
  readonly qemuImg?: string;
  /** Whom it runs as; default nobody (65534). */
  readonly inspectUser?: { readonly uid: number; readonly gid: number };
  /** Its longest run, milliseconds; default 60 000. */
  readonly inspectTimeoutMs?: number;
}

/** What the room is made with. */
export interface ImagesDeps {
  readonly log: Log;
  /** Told of each download at most four times a second, and of its end. */
  readonly onProgress?: (progress: PullProgress) => void;
  /** Resolves host names; default: as the system does. */
  readonly resolver?: Resolver;
  readonly openRecords?: OpenRecords;
  readonly hooks?: PullHooks;
}

/** Images whose sources can change and whose background work can be ended. */
export interface ClosableImages extends Images {
  /** Takes other mappings, and the signature policy's file as it is now, of which it logs what is wrong. Throws INVALID for mappings and then changes nothing. */
  readonly reload: (sources: SourcesInput) => Promise<void>;
  /** Cancels pulls under way, keeping what has arrived, and answers when all is at rest; takes no further ones. Idempotent. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the store: sweeps what a crash left, and judges images again whose verdict is of other rules or another QEMU, before it answers.
 * Throws INVALID for a source that cannot be, and the system's error when the directory cannot be used. Needs root.
 */
export async function makeImages(options: ImagesOptions, deps: ImagesDeps): Promise<ClosableImages> {
  const { storeDir, maxBytes, maxVirtualBytes, stallTimeoutMs, connections, minFreeBytes, kubeletRoot } = options;
  const { qemuImg = 'qemu-img', inspectUser: user = { uid: 65_534, gid: 65_534 }, inspectTimeoutMs: timeoutMs = 60_000 } = options;
  const { log, hooks = noHooks, resolver } = deps;
  let originOf = makeOrigins(options.sources);
  const pinned = new Set(options.pinned.map((name) => keyOf(parseReference(name))));
  const store = await openStore(storeDir, { ...deps, isPinned: (key) => pinned.has(key) });
  const { ingest } = store.layout;
  const door = makeDoor({ qemuImg, user, maxFileBytes: maxBytes, maxVirtualBytes, timeoutMs });
  await renewVerdicts(store, door, log);
  const usage = await makeSpaceSampler(storeDir, usagePeriodMs, log);
  const freeSpace = makeFreeSpace({ dir: storeDir, minFreeBytes, kubeletRoot });
  const partials = await makePartialFiles(ingest, log);
  const policy = makeNodePolicy(options.signaturePolicy);
  const readPolicy = async (): Promise<void> =>
    policy.reload().catch((error: unknown) => log.error({ problem: messageOf(error) }, 'no image is pulled: the signature policy is bad'));
  await readPolicy();
  const allowedNetworks = options.allowedNetworks.map(parseNetwork).filter((network) => network !== undefined);
  const fetchPart = makeFetchPart(
    { ingestDir: ingest, maxBytes, stallTimeoutMs, connections, retry: options.retry },
    { ...deps, partials, reserve: freeSpace.admit, isClosing: (reason) => reason === closingReason, hooks },
  );
  const intake = makeIntake(options, {
    store,
    door: countInspections(hooks, door),
    converter: makeConverter({ qemuImg, user, maxFileBytes: maxBytes, maxVirtualBytes }),
    fetchPart,
    watchSpace: freeSpace.watch,
    log,
  });
  const pulls = makePulls({
    store,
    originOf: (reference) => originOf(reference),
    openRegistry: makeRegistry(
      { hostsDir: options.registryHostsDir, allowedNetworks, maxBytes, transport: { ...plainTransport, stallTimeoutMs } },
      { resolver, verifySignature: policy.verifySignature },
    ),
    openSource: makeOpenSource({ allowedNetworks, resolver }),
    checkName: policy.checkName,
    checkUnsigned: policy.checkUnsigned,
    intake,
    log,
    hooks,
  });

  return {
    pull: async (request, signal) => {
      const image = await pulls.pull(request, signal);
      await usage.refresh();
      return image;
    },
    find: store.find,
    list: store.list,
    remove: async (reference, signal) => {
      await store.remove(reference, signal);
      await usage.refresh();
    },
    hold: store.hold,
    release: store.release,
    admitDisk: async () => freeSpace.admit(0),
    usage: () => ({ mountpoint: storeDir, ...usage.latest() }),
    reload: async (sources) => {
      originOf = makeOrigins(sources);
      await readPolicy();
    },
    close: async () => {
      usage[Symbol.dispose]();
      partials[Symbol.dispose]();
      await pulls.close();
    },
  };
}

const usagePeriodMs = 5_000;
