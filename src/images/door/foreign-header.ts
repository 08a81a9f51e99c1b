import { Refusal } from '../failures.ts';
import type { ReadAt } from './read-at.ts';
import { readVdiHeader } from './vdi-header.ts';
import { readVhdxHeader } from './vhdx-header.ts';
import { readVmdkHeader } from './vmdk-header.ts';

/** Formats of disks that are not started from, but turned into qcow2 where the configuration says so. */
export type ForeignFormat = 'vmdk' | 'vdi' | 'vhdx';

/** Sizes that a disk is judged by, in bytes. */
export interface ForeignLimits {
  /** Size of the whole file. */
  readonly fileBytes: number;
  /** Largest disk that a guest may see. */
  readonly maxVirtualBytes: number;
}

/** What the header of an acceptable disk says. */
export interface ForeignHeader {
  readonly virtualSizeBytes: number;
}

/**
 * Judges a disk by its header, before any other program reads it: that it is of the format that was named, stands alone (no parent, no data in
 * other files, no journal to replay), and has tables that lie inside it. Reads at most 4 MiB, in parts. Throws `Refusal`.
 */
export async function readForeignHeader(format: ForeignFormat, readAt: ReadAt, limits: ForeignLimits): Promise<ForeignHeader> {
  const virtualSizeBytes = await readers[format](readAt, limits.fileBytes);
  if (virtualSizeBytes === 0n || virtualSizeBytes % 512n !== 0n) {
    throw new Refusal('virtual-size', `${format}: the disk must have whole sectors and at least one`);
  }
  if (virtualSizeBytes > BigInt(limits.maxVirtualBytes)) {
    throw new Refusal('virtual-size', `${format}: the disk is larger than images.maxVirtualSize allows`);
  }
  return { virtualSizeBytes: Number(virtualSizeBytes) };
}

const readers: Readonly<Record<ForeignFormat, (readAt: ReadAt, fileBytes: number) => Promise<bigint>>> = {
  vmdk: readVmdkHeader,
  vdi: readVdiHeader,
  vhdx: readVhdxHeader,
};
