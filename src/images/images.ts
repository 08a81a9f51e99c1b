import type { Log } from '../lib/log.ts';
import type { Image } from '../model/image.ts';
import type { OpenRecords } from '../records/records.ts';
import { makeDoor } from './door/door.ts';
import type { Resolver } from './http/http-get.ts';
import type { PullProgress } from './transfer/progress.ts';
import { makePulls } from './pull.ts';
import type { PullHooks } from './pull-hooks.ts';
import { compileSources, type ImageSource } from './sources/source-map.ts';
import { openStore } from './store/store.ts';
import { makeUsageSampler } from './store/usage.ts';
import { renewVerdicts } from './store/verdicts.ts';

export type { ImageSource } from './sources/source-map.ts';
export type { PullHooks } from './pull-hooks.ts';
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
   * Makes the image that `reference` names present and answers it. One download per image however many callers; a caller that goes
   * away cancels it only when nobody else waits. Errors: INVALID (unparsable or unmapped reference), PULL_FAILED, IMAGE_REFUSED, DISK_FULL.
   */
  readonly pull: (reference: string, signal: AbortSignal) => Promise<Image>;
  /** The image with this id, name with tag, name without tag (`:latest`), or digest reference; `undefined` when absent. Throws INVALID when unparsable. */
  readonly find: (reference: string) => Image | undefined;
  /** All images, in a stable order. */
  readonly list: () => readonly Image[];
  /** Removes the image with all its names; absent is fine. Errors: IMAGE_IN_USE while a root disk depends on it. */
  readonly remove: (reference: string, signal: AbortSignal) => Promise<void>;
  /** Marks the image as the base of a VM's root disk until released. Idempotent by holder. Throws IMAGE_NOT_FOUND. */
  readonly hold: (imageId: string, containerId: string) => Image;
  readonly release: (imageId: string, containerId: string) => void;
  /** Space in use, sampled in the background at most a few seconds ago. */
  readonly usage: () => ImageFsUsage;
}

/** How images are pulled, judged and kept. Sizes in bytes. */
export interface ImagesOptions {
  /** The store's own directory, made 0711. QEMU opens base images by path, so its parents must let every user pass (0711). */
  readonly storeDir: string;
  /** `images.sources`. */
  readonly sources: readonly ImageSource[];
  /** Largest download. */
  readonly maxBytes: number;
  /** Largest disk that a guest may see. */
  readonly maxVirtualBytes: number;
  /** A download that makes no progress for this long fails, milliseconds. */
  readonly stallTimeoutMs: number;
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

/** Images whose background work can be ended. */
export interface ClosableImages extends Images {
  /** Cancels pulls under way and answers when nothing of them is left. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the store: sweeps what a crash left, and judges images again whose verdict is of other rules or another QEMU, before it answers.
 * Throws INVALID for a source that cannot be, and the system's error when the directory cannot be used. Needs root.
 */
export async function makeImages(options: ImagesOptions, deps: ImagesDeps): Promise<ClosableImages> {
  const { storeDir, maxBytes, maxVirtualBytes, stallTimeoutMs } = options;
  const { qemuImg = 'qemu-img', inspectUser = { uid: 65_534, gid: 65_534 }, inspectTimeoutMs = 60_000 } = options;
  const { log } = deps;
  const sources = compileSources(options.sources);
  const store = await openStore(storeDir, deps);
  const door = makeDoor({ qemuImg, user: inspectUser, maxVirtualBytes, timeoutMs: inspectTimeoutMs });
  await renewVerdicts(store, door, log);
  const usage = await makeUsageSampler(storeDir, usagePeriodMs, log);
  const pulls = makePulls({ maxBytes, stallTimeoutMs }, { ...deps, store, door, sources });

  return {
    pull: async (reference, signal) => {
      const image = await pulls.pull(reference, signal);
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
    usage: () => ({ mountpoint: storeDir, ...usage.latest() }),
    close: async () => {
      usage[Symbol.dispose]();
      await pulls.close();
    },
  };
}

const usagePeriodMs = 5_000;
