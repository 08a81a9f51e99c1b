import { chmod, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeDurably } from '../../lib/durable-file.ts';
import { isErrno } from '../../lib/errno.ts';
import type { Log } from '../../lib/log.ts';
import type { Records } from '../../records/records.ts';
import { hexOf, imageIdOf, type ContentRecord, type ImageRecord, type NameRecord } from './image-record.ts';
import { sweepBlobs, type StoreLayout } from './store-layout.ts';

/** The records of a store. */
export interface StoreRecords {
  readonly images: Records<ImageRecord>;
  readonly names: Records<NameRecord>;
  readonly contents: Records<ContentRecord>;
}

/**
 * Brings records and disks in line at a start: a disk without a record goes, so does a record without its whole disk, and names and contents that
 * lead to no image. A disk whose record cannot be read may be the base of a root disk: it stays. Answers the bytes on disk of each blob.
 */
export async function reconcile(layout: StoreLayout, records: StoreRecords, log: Log): Promise<Map<string, number>> {
  const { images, names, contents } = records;
  for (const { file, problem } of [...images.unreadable, ...names.unreadable, ...contents.unreadable])
    log.error({ file, problem }, 'record of an image is unreadable');
  const unreadable = new Set(images.unreadable.map((each) => each.id));
  await sweepBlobs(layout, (blob) => images.get(blob) !== undefined || unreadable.has(blob), log);
  const allocated = new Map<string, number>();
  for (const [hex, record] of images.all()) {
    const found = await sizesOf(join(layout.blobs, hex));
    const isWhole = found?.length === record.sizeBytes && hex === hexOf(imageIdOf(record.format, record.digest));
    if (isWhole) {
      allocated.set(hex, found.allocated);
      await chmod(join(layout.blobs, hex), 0o644);
      continue;
    }
    log.warn({ imageId: `sha256:${hex}`, sizeBytes: found?.length, recordedBytes: record.sizeBytes }, 'image without its disk dropped');
    await images.remove(hex);
    await removeDurably(join(layout.blobs, hex));
  }
  const leadsNowhere = ({ imageId }: { readonly imageId: string }): boolean =>
    images.get(hexOf(imageId)) === undefined && !unreadable.has(hexOf(imageId));
  for (const [id, record] of names.all()) {
    if (!leadsNowhere(record)) continue;
    log.warn({ name: record.key, imageId: record.imageId }, 'name without its image dropped');
    await names.remove(id);
  }
  for (const [id, record] of contents.all()) if (leadsNowhere(record)) await contents.remove(id);
  return allocated;
}

/** Length and bytes on disk of a regular file; `undefined` where there is none. */
export async function sizesOf(file: string): Promise<{ readonly length: number; readonly allocated: number } | undefined> {
  try {
    const found = await stat(file);
    return found.isFile() ? { length: found.size, allocated: found.blocks * blockBytes } : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

const blockBytes = 512; // stat(2): st_blocks counts in 512 bytes, whatever the file system's block size
