import { stat, statfs } from 'node:fs/promises';
import { isErrno } from '../../lib/errno.ts';
import { VmletError } from '../../model/errors.ts';

/** What is free where disks are kept. */
export interface FreeSpace {
  /** Throws DISK_FULL when `bytes` more do not fit, or would leave too little where no kubelet frees space. */
  readonly admit: (bytes: number) => Promise<void>;
}

/** Where disks are kept, and who watches. */
export interface FreeSpaceOptions {
  readonly dir: string;
  /** `images.minFree` */
  readonly minFreeBytes: number;
  /**
   * `images.kubeletRoot`: a kubelet collects images and evicts pods when this file system, or the one that ImageFsInfo tells first, runs full. With
   * another runtime on the node it is told that one's, so that only the kubelet's own file system is sure to be watched.
   */
  readonly kubeletRoot: string;
}

/** Makes the guard; it looks when it is asked. */
export function makeFreeSpace({ dir, minFreeBytes, kubeletRoot }: FreeSpaceOptions): FreeSpace {
  return {
    admit: async (bytes) => {
      const { bavail, bsize } = await statfs(dir);
      const free = bavail * bsize;
      if (bytes > free) throw new VmletError({ code: 'DISK_FULL', path: dir }, `${dir}: ${bytes} bytes are wanted and ${free} are free`);
      if (free - bytes >= minFreeBytes || (await isSameFileSystem(dir, kubeletRoot))) return;
      throw new VmletError(
        { code: 'DISK_FULL', path: dir },
        `${dir}: ${bytes} bytes are wanted and ${free} are free, of which images.minFree keeps ${minFreeBytes}; remove images or pods`,
      );
    },
  };
}

async function isSameFileSystem(dir: string, other: string): Promise<boolean> {
  try {
    return (await stat(dir)).dev === (await stat(other)).dev;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
