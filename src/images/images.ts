import type { Image } from '../model/image.ts';

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
