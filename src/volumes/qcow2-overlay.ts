import type { DiskFormat } from '../model/image.ts';

/** A new overlay: everything that is not written yet is read from its backing file. */
export interface Overlay {
  /** Absolute, so that QEMU does not take a `:` in it for a protocol; at most 1023 bytes (QEMU's limit). */
  readonly backingPath: string;
  readonly backingFormat: DiskFormat;
  /** Size that the guest sees, bytes; a multiple of 512. */
  readonly sizeBytes: number;
}

/** The bytes of an overlay: `head` at its beginning, zeros up to `fileBytes`. */
export interface OverlayImage {
  readonly head: Buffer;
  readonly fileBytes: number;
}

/** Largest overlay: what QEMU's limit of 32 MiB for the L1 table can address with clusters of 64 KiB, bytes. */
export const maxOverlayBytes = 2 ** 51;

/** Longest path of a backing file, bytes (QEMU's docs/interop/qcow2.txt). */
export const maxBackingPathBytes = 1023;

const clusterBits = 16; // qemu-img's default
const clusterBytes = 2 ** clusterBits;
const headerBytes = 112;
const backingFormatExtension = 0xe2792aca;
const cluster = { refcountTable: 1, refcountBlock: 2, l1Table: 3 } as const;
const refcountOrder = 4; // 16 bits for each cluster: one block counts 2 GiB of file, far more than an empty overlay has

/**
 * An empty qcow2 overlay, version 3, as `qemu-img create -F FORMAT -b BASE` makes it: header, refcount table, one refcount block, L1
 * table of zeros. Source: QEMU's docs/interop/qcow2.txt. The tests have `qemu-img check` judge it.
 */
export function encodeOverlay(overlay: Overlay): OverlayImage {
  const l1Entries = Math.ceil(overlay.sizeBytes / (clusterBytes * (clusterBytes / 8)));
  const clusters = cluster.l1Table + Math.ceil((l1Entries * 8) / clusterBytes);
  const format = Buffer.from(overlay.backingFormat);
  const backing = Buffer.from(overlay.backingPath);
  const extensionBytes = 8 + Math.ceil(format.length / 8) * 8;
  const backingOffset = headerBytes + extensionBytes + 8;

  const head = Buffer.alloc(cluster.l1Table * clusterBytes);
  head.write('QFI\xfb', 0, 'latin1');
  head.writeUInt32BE(3, 4); // version
  head.writeBigUInt64BE(BigInt(backingOffset), 8);
  head.writeUInt32BE(backing.length, 16);
  head.writeUInt32BE(clusterBits, 20);
  head.writeBigUInt64BE(BigInt(overlay.sizeBytes), 24);
  head.writeUInt32BE(l1Entries, 36);
  head.writeBigUInt64BE(BigInt(cluster.l1Table * clusterBytes), 40);
  head.writeBigUInt64BE(BigInt(cluster.refcountTable * clusterBytes), 48);
  head.writeUInt32BE(1, 56); // clusters of the refcount table
  head.writeUInt32BE(refcountOrder, 96);
  head.writeUInt32BE(headerBytes, 100);

  head.writeUInt32BE(backingFormatExtension, headerBytes);
  head.writeUInt32BE(format.length, headerBytes + 4);
  format.copy(head, headerBytes + 8);
  backing.copy(head, backingOffset); // the 8 zeros before it end the extensions

  head.writeBigUInt64BE(BigInt(cluster.refcountBlock * clusterBytes), cluster.refcountTable * clusterBytes);
  for (let index = 0; index < clusters; index += 1) head.writeUInt16BE(1, cluster.refcountBlock * clusterBytes + index * 2);
  return { head, fileBytes: clusters * clusterBytes };
}
