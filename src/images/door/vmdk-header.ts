import { Refusal } from '../failures.ts';
import { littleEndian, type LittleEndian } from './little-endian.ts';
import type { ReadAt } from './read-at.ts';
import { judgeDescriptor } from './vmdk-descriptor.ts';

const sectorBytes = 512;
const atEnd = 2n ** 64n - 1n; // the directory's offset in streamOptimized disks: see the footer
const footerFromEnd = 3 * sectorBytes; // marker, copy of the header, marker of the end
const maxDescriptorSectors = 128n; // 64 KiB; writers use 20
const qemuDescriptorBytes = 20 * sectorBytes; // what QEMU reads, whatever the header says

interface Fields {
  readonly version: number;
  readonly flags: number;
  readonly capacity: bigint;
  readonly grain: bigint;
  readonly descriptorOffset: bigint;
  readonly descriptorSectors: bigint;
  readonly entriesPerTable: number;
  readonly redundantOffset: bigint;
  readonly directoryOffset: bigint;
  readonly overhead: bigint;
  readonly unclean: number;
  readonly newlines: string;
  readonly compression: number;
  readonly fileSectors: bigint;
}

const flag = { newlines: 1, redundant: 2, compressed: 2 ** 16, markers: 2 ** 17 } as const;
const hasFlag = (h: Fields, value: number): boolean => (h.flags & value) !== 0;

const rules: readonly { readonly name: string; readonly says: string; readonly holds: (fields: Fields) => boolean }[] = [
  { name: 'version', says: 'the version must be 1 to 3', holds: (h) => h.version >= 1 && h.version <= 3 },
  { name: 'vmdk-transfer', says: 'its line ends were changed by a transfer as text', holds: (h) => h.newlines === '0a200d0a' },
  { name: 'virtual-size', says: 'the disk must have at least one sector', holds: (h) => h.capacity > 0n && h.capacity < 2n ** 54n },
  {
    name: 'vmdk-grains',
    says: 'grains must have 4 KiB to 2 MiB, a power of two, and grain tables 512 entries',
    holds: (h) => h.grain >= 8n && h.grain <= 4096n && (h.grain & (h.grain - 1n)) === 0n && h.entriesPerTable === 512,
  },
  {
    name: 'compression-type',
    says: 'the compression contradicts the flags or is not known',
    holds: (h) => h.compression === (hasFlag(h, flag.compressed) ? 1 : 0) && hasFlag(h, flag.markers) === hasFlag(h, flag.compressed),
  },
  { name: 'dirty', says: 'it was not closed properly', holds: (h) => h.unclean === 0 },
  {
    name: 'vmdk-descriptor',
    says: 'the descriptor lies outside the file, or is none',
    holds: (h) =>
      h.descriptorOffset >= 1n &&
      h.descriptorSectors >= 1n &&
      h.descriptorSectors <= maxDescriptorSectors &&
      h.descriptorOffset + h.descriptorSectors <= h.fileSectors,
  },
  {
    name: 'vmdk-directory',
    says: 'the grain directory lies outside the file',
    holds: (h) => {
      const sectors = (directoryEntries(h) * 4n + 511n) / 512n;
      const fits = (offset: bigint): boolean => offset >= 1n && offset + sectors <= h.fileSectors;
      return (h.directoryOffset === atEnd || fits(h.directoryOffset)) && (!hasFlag(h, flag.redundant) || fits(h.redundantOffset));
    },
  },
];

/**
 * Judges a VMware disk by its header and descriptor and answers its size in bytes: one file that holds both descriptor and data, sparse
 * (monolithicSparse) or compressed for transport (streamOptimized). Throws `Refusal`. Source: VMware's "Virtual Disk Format 5.0", QEMU's
 * block/vmdk.c.
 */
export async function readVmdkHeader(readAt: ReadAt, fileBytes: number): Promise<bigint> {
  const bytes = littleEndian(await readAt(0, sectorBytes));
  judgeMagic(bytes);
  const header = readFields(bytes, fileBytes);
  judgeFields(header);
  if (header.directoryOffset === atEnd) judgeFooter(header, await readAt(Math.max(fileBytes - footerFromEnd, 0), footerFromEnd), fileBytes);
  const length = Math.max(Number(header.descriptorSectors) * sectorBytes, qemuDescriptorBytes);
  const descriptor = await readAt(Number(header.descriptorOffset) * sectorBytes, length);
  judgeDescriptor(descriptor, { declaredBytes: Number(header.descriptorSectors) * sectorBytes, capacity: header.capacity });
  return header.capacity * BigInt(sectorBytes);
}

function judgeMagic(bytes: LittleEndian): void {
  const magic = bytes.length >= 4 ? bytes.hex(0, 4) : '';
  const otherKinds = ['434f5744', '23204469', 'cafebabe']; // COWD; "# Di", of a descriptor in a file of its own; SESparse
  if (otherKinds.includes(magic)) {
    throw new Refusal('vmdk-type', 'vmdk: it is of a kind whose data lies in other files, or that VMware keeps to itself');
  }
  if (magic !== '4b444d56') throw new Refusal('magic', 'it is no VMDK disk');
  if (bytes.length < sectorBytes) throw new Refusal('truncated', 'vmdk: the file ends within its header');
}

function judgeFields(fields: Fields): void {
  for (const { name, says, holds } of rules) {
    if (!holds(fields)) throw new Refusal(name, `vmdk: ${says}`);
  }
}

/** The footer's copy of the header counts for whoever opens the disk: it must say the same, but for where the directory is. */
function judgeFooter(header: Fields, bytes: Uint8Array, fileBytes: number): void {
  if (bytes.length < footerFromEnd) throw new Refusal('truncated', 'vmdk: the file ends before its footer');
  const copy = littleEndian(bytes.subarray(sectorBytes, 2 * sectorBytes));
  if (copy.hex(0, 4) !== '4b444d56') throw new Refusal('vmdk-footer', 'vmdk: there is no footer; the file is cut short');
  const footer = readFields(copy, fileBytes);
  judgeFields(footer);
  const differs = compared.some((key) => header[key] !== footer[key]);
  if (differs || footer.directoryOffset === atEnd) throw new Refusal('vmdk-footer', 'vmdk: the footer contradicts the header');
}

const compared = [
  'version',
  'flags',
  'capacity',
  'grain',
  'descriptorOffset',
  'descriptorSectors',
  'entriesPerTable',
  'compression',
] as const;

function directoryEntries(h: Fields): bigint {
  const perEntry = h.grain * BigInt(h.entriesPerTable);
  return (h.capacity + perEntry - 1n) / perEntry;
}

function readFields(bytes: LittleEndian, fileBytes: number): Fields {
  return {
    version: bytes.u32(4),
    flags: bytes.u32(8),
    capacity: bytes.u64(12),
    grain: bytes.u64(20),
    descriptorOffset: bytes.u64(28),
    descriptorSectors: bytes.u64(36),
    entriesPerTable: bytes.u32(44),
    redundantOffset: bytes.u64(48),
    directoryOffset: bytes.u64(56),
    overhead: bytes.u64(64),
    unclean: bytes.u8(72),
    newlines: bytes.hex(73, 4),
    compression: bytes.u16(77),
    fileSectors: BigInt(Math.floor(fileBytes / sectorBytes)),
  };
}
