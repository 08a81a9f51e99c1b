import { lstatSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { differenceOf, type FileIdentity } from '../door/identity.ts';
import { VmletError } from '../../model/errors.ts';

/** Remembers which file each image's disk is, so that one that was swapped or written to since it was judged is noticed. */
export interface Seals {
  /** Takes the disk as it is now; `judged`: the file that the door saw, which it must be. Throws IMAGE_REFUSED. */
  readonly seal: (imageId: string, judged?: FileIdentity) => Promise<void>;
  /** Throws IMAGE_REFUSED when the disk is another file than the sealed one, or was changed. An image without a seal passes. */
  readonly check: (imageId: string) => void;
  readonly forget: (imageId: string) => void;
}

/** Makes seals over the files of `pathOf`, in memory: between two runs of the daemon only a disk's length is compared. */
export function makeSeals(pathOf: (imageId: string) => string): Seals {
  const sealed = new Map<string, FileIdentity>();
  return {
    seal: async (imageId, judged) => {
      const now = identityIn(await lstat(pathOf(imageId), { bigint: true }));
      refuseDifference(imageId, judged && differenceOf(judged, now, true)); // a rename changes ctime
      sealed.set(imageId, now);
    },
    check: (imageId) => {
      const before = sealed.get(imageId);
      if (before) refuseDifference(imageId, differenceOf(before, identityIn(lstatSync(pathOf(imageId), { bigint: true }))));
    },
    forget: (imageId) => void sealed.delete(imageId),
  };
}

function identityIn({ dev, ino, size, mtimeNs, ctimeNs }: FileIdentity): FileIdentity {
  return { dev, ino, size, mtimeNs, ctimeNs };
}

function refuseDifference(imageId: string, difference: string | undefined): void {
  if (difference === undefined) return;
  throw new VmletError(
    { code: 'IMAGE_REFUSED', reference: imageId, rule: 'changed' },
    `image ${imageId}: its disk is not the one that was inspected (${difference} differ); remove the image and pull it again`,
  );
}
