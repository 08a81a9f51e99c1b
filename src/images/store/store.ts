import { chmod, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { removeDurably, syncDirectory } from '../../lib/durable-file.ts';
import { isErrno } from '../../lib/errno.ts';
import { makeKeyedMutex } from '../../lib/keyed-mutex.ts';
import type { Log } from '../../lib/log.ts';
import { VmletError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import { openRecords, type OpenRecords, type Records } from '../../records/records.ts';
import { makeCatalogue } from './catalogue.ts';
import { makeHolds } from './holds.ts';
import {
  hexOf,
  imageIdOf,
  imageRecordVersion,
  nameRecordId,
  parseImageRecord,
  parseNameRecord,
  type ImageRecord,
  type NameRecord,
} from './image-record.ts';
import { prepareLayout, sweepLeftovers, type StoreLayout } from './store-layout.ts';

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
  /** Moves a judged file from ingest into the store and gives it its first names; a disk that is there already stays. All or nothing. */
  readonly add: (file: string, record: ImageRecord, names: readonly NameRecord[]) => Promise<Image>;
  /** Lets names lead to an image, away from others. `undefined` when the image is gone. */
  readonly name: (imageId: string, names: readonly NameRecord[]) => Promise<Image | undefined>;
  /** Where names came from. */
  readonly names: () => readonly NameRecord[];
  /** As `Images.remove`. */
  readonly remove: (reference: string, signal: AbortSignal) => Promise<void>;
  readonly hold: (imageId: string, containerId: string) => Image;
  readonly release: (imageId: string, containerId: string) => void;
  /** Images with their records, for a renewal of verdicts. */
  readonly records: () => readonly { readonly image: Image; readonly record: ImageRecord }[];
  /** Keeps a renewed verdict. */
  readonly judge: (imageId: string, record: ImageRecord) => Promise<void>;
}

/** Opens the store: reads the records, drops those without a disk and disks without a record, empties ingest. */
export async function openStore(dir: string, deps: { readonly log: Log; readonly openRecords?: OpenRecords }): Promise<Store> {
  const { log } = deps;
  const open = deps.openRecords ?? openRecords;
  const layout = await prepareLayout(dir);
  const [images, names] = await Promise.all([
    open({ dir: layout.images, version: imageRecordVersion, parse: parseImageRecord }),
    open({ dir: layout.names, version: imageRecordVersion, parse: parseNameRecord }),
  ]);
  await reconcile(layout, images, names, log);

  const locks = makeKeyedMutex();
  const holds = makeHolds();
  const hidden = new Set<string>();
  const pathOf = (imageId: string): string => join(layout.blobs, hexOf(imageId));
  const view = () =>
    makeCatalogue({ blobs: layout.blobs, images: images.all(), names: names.all(), isHidden: (imageId) => hidden.has(imageId) });
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

  async function putNames(records: readonly NameRecord[]): Promise<void> {
    for (const record of records) {
      const isSame = isDeepStrictEqual(names.get(nameRecordId(record.key)), record);
      if (!isSame) await names.put(nameRecordId(record.key), record);
    }
  }

  /** Forgets an image: names, then record, then bytes, so that a crash in between leaves an image with fewer names or a blob to sweep. */
  async function forget(imageId: string): Promise<void> {
    for (const [id, record] of names.all()) if (record.imageId === imageId) await names.remove(id);
    await images.remove(hexOf(imageId));
    await removeDurably(pathOf(imageId));
  }

  function imageOrThrow(imageId: string): Image {
    const image = byId(imageId);
    if (!image) throw new VmletError({ code: 'IMAGE_NOT_FOUND', reference: imageId }, `image ${imageId} is not in the store`);
    return image;
  }

  async function addLocked(imageId: string, file: string, add: { record: ImageRecord; names: readonly NameRecord[] }): Promise<void> {
    const isThere = images.get(hexOf(imageId)) !== undefined;
    if (isThere) await rm(file, { force: true });
    try {
      if (!isThere) {
        await rename(file, pathOf(imageId));
        await syncDirectory(layout.blobs);
      }
      await images.put(hexOf(imageId), add.record);
      await putNames(add.names);
    } catch (error) {
      if (!isThere) await forget(imageId);
      throw error;
    }
  }

  return {
    layout,
    list: () => catalogue.list,
    find: (reference) => usable(catalogue.find(reference)),
    usable: (imageId) => usable(byId(imageId)),
    add: async (file, record, firstNames) => {
      const imageId = imageIdOf(record.format, record.digest);
      await underLock(imageId, async () => addLocked(imageId, file, { record, names: firstNames }));
      return imageOrThrow(imageId);
    },
    name: async (imageId, records) => {
      await underLock(imageId, async () => {
        if (images.get(hexOf(imageId))) await putNames(records);
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

async function reconcile(layout: StoreLayout, images: Records<ImageRecord>, names: Records<NameRecord>, log: Log): Promise<void> {
  for (const { file, problem } of [...images.unreadable, ...names.unreadable])
    log.error({ file, problem }, 'record of an image is unreadable');
  // A disk whose record cannot be read may be the base of a root disk: it stays.
  const unreadable = new Set(images.unreadable.map((each) => each.id));
  await sweepLeftovers(layout, (blob) => images.get(blob) !== undefined || unreadable.has(blob), log);
  for (const [hex, record] of images.all()) {
    const size = await sizeOf(join(layout.blobs, hex));
    const isWhole = size === record.sizeBytes && hex === hexOf(imageIdOf(record.format, record.digest));
    if (isWhole) {
      await chmod(join(layout.blobs, hex), 0o644);
      continue;
    }
    log.warn({ imageId: `sha256:${hex}`, sizeBytes: size, recordedBytes: record.sizeBytes }, 'image without its disk dropped');
    await images.remove(hex);
    await removeDurably(join(layout.blobs, hex));
  }
  for (const [id, record] of names.all()) {
    if (images.get(hexOf(record.imageId)) || unreadable.has(hexOf(record.imageId))) continue;
    log.warn({ name: record.key, imageId: record.imageId }, 'name without its image dropped');
    await names.remove(id);
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
