import { rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { removeDurably, syncDirectory } from '../../lib/durable-file.ts';
import { makeKeyedMutex } from '../../lib/keyed-mutex.ts';
import type { Log } from '../../lib/log.ts';
import { VmletError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import { openRecords, type OpenRecords } from '../../records/records.ts';
import { identityOf } from '../door/identity.ts';
import { makeCatalogue } from './catalogue.ts';
import { makeHolds } from './holds.ts';
import {
  hexOf,
  imageIdOf,
  imageRecordVersion,
  nameRecordId,
  parseContentRecord,
  parseImageRecord,
  parseNameRecord,
  type ImageRecord,
  type NameRecord,
} from './image-record.ts';
import { reconcile, sizesOf } from './reconcile.ts';
import { makeSeals } from './seals.ts';
import { prepareLayout, type StoreLayout } from './store-layout.ts';

/**
 * Disks, their records and names. INVARIANTS: what is listed is complete, durable and has passed the door; a blob's bytes never change;
 * changes of one image happen one after the other (lock by image id, the only one here); reads answer from memory.
 */
export interface Store {
  readonly layout: StoreLayout;
  readonly list: () => readonly Image[];
  /** As `Images.find`: images that the door refuses by now are not found. */
  readonly find: (reference: string) => Image | undefined;
  /** The image of this id that may be used; `undefined` when absent or refused. */
  readonly usable: (imageId: string) => Image | undefined;
  /** The usable image that came out of a content (see `ContentRecord`); `undefined` when it is not known. */
  readonly ofContent: (content: string) => Image | undefined;
  /** Moves a judged file from ingest into the store and ties names and contents to it; a sound disk that is there already stays. All or nothing. */
  readonly add: (disk: JudgedDisk, record: ImageRecord, tiesOf: (imageId: string) => Ties) => Promise<Image>;
  /** Lets names and contents lead to an image, away from others. `undefined` when the image is gone. */
  readonly tie: (imageId: string, ties: Ties) => Promise<Image | undefined>;
  /** Where names came from. */
  readonly names: () => readonly NameRecord[];
  /** As `Images.remove`. */
  readonly remove: (reference: string, signal: AbortSignal) => Promise<void>;
  /** As `Images.hold`; also throws IMAGE_REFUSED when the disk is not the one that was judged. */
  readonly hold: (imageId: string, containerId: string) => Image;
  readonly release: (imageId: string, containerId: string) => void;
  /** Images with their records, for a renewal of verdicts. */
  readonly records: () => readonly { readonly image: Image; readonly record: ImageRecord }[];
  /** Keeps a renewed verdict. */
  readonly judge: (imageId: string, record: ImageRecord) => Promise<void>;
}

/** A file in the ingest directory, and the open file that the door has judged: they must be one. */
export interface JudgedDisk {
  readonly file: string;
  readonly handle: FileHandle;
}

/** What leads to an image. */
export interface Ties {
  readonly names: readonly NameRecord[];
  /** Digests of contents that the disk came out of. */
  readonly contents: readonly string[];
}

/** What a store is opened with. */
export interface StoreDeps {
  readonly log: Log;
  readonly openRecords?: OpenRecords;
  /** Keys of names whose images a kubelet shall not collect; default none. */
  readonly isPinned?: (key: string) => boolean;
}

/** Opens the store: reads the records, drops those without a disk and disks without a record. */
export async function openStore(dir: string, deps: StoreDeps): Promise<Store> {
  const { log, isPinned = () => false } = deps;
  const open = deps.openRecords ?? openRecords;
  const layout = await prepareLayout(dir);
  const [images, names, contents] = await Promise.all([
    open({ dir: layout.images, version: imageRecordVersion, parse: parseImageRecord }),
    open({ dir: layout.names, version: imageRecordVersion, parse: parseNameRecord }),
    open({ dir: layout.contents, version: imageRecordVersion, parse: parseContentRecord }),
  ]);
  const allocatedBytes = await reconcile(layout, { images, names, contents }, log);

  const pathOf = (imageId: string): string => join(layout.blobs, hexOf(imageId));
  const seals = makeSeals(pathOf);
  for (const hex of images.all().keys()) await seals.seal(`sha256:${hex}`);
  const locks = makeKeyedMutex();
  const holds = makeHolds();
  const hidden = new Set<string>();
  const view = () =>
    makeCatalogue({
      blobs: layout.blobs,
      images: images.all(),
      names: names.all(),
      allocatedBytes,
      isPinned,
      isHidden: (imageId) => hidden.has(imageId),
    });
  let catalogue = view();
  const changed = (): void => void (catalogue = view());
  const isRefused = (imageId: string): boolean => images.get(hexOf(imageId))?.verdict.refused !== undefined;
  const usable = (image: Image | undefined): Image | undefined => (image && !isRefused(image.id) ? image : undefined);
  const byId = (imageId: string): Image | undefined => catalogue.list.find((image) => image.id === imageId);

  async function underLock<T>(imageId: string, work: () => Promise<T>, signal = new AbortController().signal): Promise<T> {
    using _lock = await locks.lock(imageId, signal);
    try {
      return await work();
    } finally {
      changed();
    }
  }

  async function putTies(imageId: string, ties: Ties): Promise<void> {
    for (const content of ties.contents) {
      if (contents.get(hexOf(content))?.imageId !== imageId) await contents.put(hexOf(content), { imageId });
    }
    for (const record of ties.names) {
      const isSame = isDeepStrictEqual(names.get(nameRecordId(record.key)), record);
      if (!isSame) await names.put(nameRecordId(record.key), record);
    }
  }

  /** Forgets an image: what leads to it, then record, then bytes, so that a crash in between leaves an image with fewer names or a blob to sweep. */
  async function forget(imageId: string): Promise<void> {
    for (const [id, record] of names.all()) if (record.imageId === imageId) await names.remove(id);
    for (const [id, record] of contents.all()) if (record.imageId === imageId) await contents.remove(id);
    await images.remove(hexOf(imageId));
    await removeDurably(pathOf(imageId));
    allocatedBytes.delete(hexOf(imageId));
    seals.forget(imageId);
  }

  function imageOrThrow(imageId: string): Image {
    const image = byId(imageId);
    if (!image) throw new VmletError({ code: 'IMAGE_NOT_FOUND', reference: imageId }, `image ${imageId} is not in the store`);
    return image;
  }

  /** Whether what lies there is what was judged, and passed: a disk that went bad since is not the one that a verdict on other bytes is about. */
  function isSound(imageId: string): boolean {
    if (images.get(hexOf(imageId)) === undefined || isRefused(imageId)) return false;
    try {
      seals.check(imageId);
      return true;
    } catch {
      return false;
    }
  }

  async function addLocked(imageId: string, disk: JudgedDisk, add: { record: ImageRecord; ties: Ties }): Promise<Image> {
    const wasThere = images.get(hexOf(imageId)) !== undefined;
    const stays = isSound(imageId);
    if (stays) await rm(disk.file, { force: true });
    try {
      if (!stays) {
        const judged = await identityOf(disk.handle);
        await rename(disk.file, pathOf(imageId)); // VMs that run on a disk that is replaced have it open
        await syncDirectory(layout.blobs);
        await seals.seal(imageId, judged);
        allocatedBytes.set(hexOf(imageId), (await sizesOf(pathOf(imageId)))?.allocated ?? add.record.sizeBytes);
      }
      await images.put(hexOf(imageId), add.record);
      await putTies(imageId, add.ties);
      changed();
      return imageOrThrow(imageId); // here, for whoever waits for the lock may remove it
    } catch (error) {
      if (!wasThere) await forget(imageId);
      throw error;
    }
  }

  return {
    layout,
    list: () => catalogue.list,
    find: (reference) => usable(catalogue.find(reference)),
    usable: (imageId) => usable(byId(imageId)),
    ofContent: (content) => {
      const imageId = contents.get(hexOf(content))?.imageId;
      return imageId === undefined ? undefined : usable(byId(imageId));
    },
    add: async (disk, record, tiesOf) => {
      const imageId = imageIdOf(record.format, record.digest);
      return underLock(imageId, async () => addLocked(imageId, disk, { record, ties: tiesOf(imageId) }));
    },
    tie: async (imageId, ties) => {
      await underLock(imageId, async () => {
        if (images.get(hexOf(imageId))) await putTies(imageId, ties);
      });
      return byId(imageId);
    },
    names: () => [...names.all().values()],
    remove: async (reference, signal) => {
      const imageId = catalogue.find(reference)?.id;
      if (imageId === undefined) return;
      await underLock(imageId, async () => remove(imageId), signal);
    },
    hold: (imageId, containerId) => {
      const image = imageOrThrow(imageId);
      seals.check(imageId);
      holds.hold(imageId, containerId);
      return image;
    },
    release: holds.release,
    records: () =>
      catalogue.list.flatMap((image) => {
        const record = images.get(hexOf(image.id));
        return record ? [{ image, record }] : [];
      }),
    judge: async (imageId, record) => underLock(imageId, async () => images.put(hexOf(imageId), record)),
  };

  async function remove(imageId: string): Promise<void> {
    const containerId = holds.holder(imageId);
    if (containerId !== undefined) {
      throw new VmletError(
        { code: 'IMAGE_IN_USE', imageId, containerId },
        `image ${imageId} is the base of the root disk of ${containerId}`,
      );
    }
    // From here on it can neither be found nor held.
    hidden.add(imageId);
    changed();
    try {
      await forget(imageId);
    } finally {
      hidden.delete(imageId);
    }
  }
}
