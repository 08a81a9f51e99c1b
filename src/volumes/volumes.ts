import type { FileUsage } from '../model/statistics.ts';
import { baseOf } from './overlay-base.ts';
import { makeRootDisk, type RootDiskRequest } from './root-disk.ts';
import { writeTerminationMessage } from './termination-log.ts';
import { measureFiles } from './usage.ts';

export type { RootDiskRequest } from './root-disk.ts';

/** Disks of VMs. */
export interface Volumes {
  /**
   * Makes a qcow2 overlay (mode 0600, owned by the VM's uid) whose backing file is the base; nothing is copied, the time does not
   * depend on the base's size. Replaces a leftover. Errors: INVALID when `sizeBytes` is under the base's (message has both), DISK_FULL.
   */
  readonly makeRootDisk: (request: RootDiskRequest, signal: AbortSignal) => Promise<void>;
  /** The base that a root disk names, for a comparison; `undefined` when it names none. Throws the system's error. */
  readonly baseOf: (path: string) => Promise<string | undefined>;
  /**
   * What files take on the disk, and the file system of `directory`, which they lie in or below. A file that is not there counts for
   * nothing; throws ENOENT's error when the directory is not.
   */
  readonly usage: (directory: string, paths: readonly string[]) => Promise<FileUsage>;
  /** Writes a termination message, at most 4 KiB, into the kubelet's file. Errors: INVALID when it is not that file. */
  readonly writeTerminationMessage: (path: string, message: string) => Promise<void>;
}

/** Makes the room that makes disks. It keeps nothing in memory and needs root, to give files away. */
export function makeVolumes(): Volumes {
  return { makeRootDisk, baseOf, writeTerminationMessage, usage: measureFiles };
}
