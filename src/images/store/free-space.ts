import { stat, statfs } from 'node:fs/promises';
import { isErrno } from '../../lib/errno.ts';
import { linkedController } from '../../lib/signals.ts';
import { VmletError } from '../../model/errors.ts';

/** What is free where disks are kept. */
export interface FreeSpace {
  /** Throws DISK_FULL when `bytes` more do not fit, or would leave too little where no kubelet frees space. */
  readonly admit: (bytes: number) => Promise<void>;
  /** Looks again and again while something of unknown size is written. */
  readonly watch: (outer: AbortSignal) => SpaceWatch;
}

/** Ends what is written when too little is left; to be disposed of. */
export interface SpaceWatch extends Disposable {
  /** Aborts with the outer signal's reason, or with what `admit` throws. */
  readonly signal: AbortSignal;
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
  async function admit(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(dir);
    const free = bavail * bsize;
    const says = bytes === 0 ? `no space left in ${dir}: ${free} bytes are free` : `${dir}: ${bytes} bytes are wanted and ${free} are free`;
    const problem = (kept: string): VmletError => new VmletError({ code: 'DISK_FULL', path: dir }, `${says}${kept}; remove images or pods`);
    if (bytes > free) throw problem('');
    if (free - bytes >= minFreeBytes || (await isSameFileSystem(dir, kubeletRoot))) return;
    throw problem(`, of which images.minFree keeps ${minFreeBytes}`);
  }

  function watch(outer: AbortSignal): SpaceWatch {
    const linked = linkedController(outer);
    const timer = setInterval(() => void admit(0).catch((error: unknown) => linked.abort(error)), watchEveryMs);
    return {
      signal: linked.signal,
      [Symbol.dispose]: () => {
        clearInterval(timer);
        linked[Symbol.dispose]();
      },
    };
  }

  return { admit, watch };
}

/** In that time a fast disk takes less than the default of images.minFree. */
const watchEveryMs = 250;

async function isSameFileSystem(dir: string, other: string): Promise<boolean> {
  try {
    return (await stat(dir)).dev === (await stat(other)).dev;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
