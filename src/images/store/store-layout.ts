import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../lib/log.ts';

/** Directories of the store. Root alone writes in them; QEMU, which opens disks by path, may pass through those of mode 0711. */
export interface StoreLayout {
  readonly root: string;
  /** Complete disks, named by the hex digits of the image id. */
  readonly blobs: string;
  /** Disks on their way. */
  readonly ingest: string;
  /** Records, 0700. */
  readonly images: string;
  readonly names: string;
  readonly contents: string;
}

/** Makes the directories that are missing and sets their modes. */
export async function prepareLayout(root: string): Promise<StoreLayout> {
  const layout = {
    root,
    blobs: join(root, 'blobs'),
    ingest: join(root, 'ingest'),
    images: join(root, 'records', 'images'),
    names: join(root, 'records', 'names'),
    contents: join(root, 'records', 'contents'),
  };
  await mkdir(root, { recursive: true, mode: 0o711 });
  for (const dir of [layout.root, layout.blobs, layout.ingest]) {
    await mkdir(dir, { recursive: true });
    await chmod(dir, 0o711); // whatever the umask is
  }
  for (const dir of [join(root, 'records'), layout.images, layout.names, layout.contents]) {
    await mkdir(dir, { recursive: true });
    await chmod(dir, 0o700);
  }
  return layout;
}

/** Removes blobs for which `isKnown` is false: a crash left them before their record, or after its removal. Only to be called before anything is pulled. */
export async function sweepBlobs(layout: StoreLayout, isKnown: (blob: string) => boolean, log: Log): Promise<void> {
  for (const name of await readdir(layout.blobs)) {
    if (isKnown(name)) continue;
    await rm(join(layout.blobs, name), { recursive: true, force: true });
    log.warn({ blob: name }, 'disk without a record removed');
  }
}
