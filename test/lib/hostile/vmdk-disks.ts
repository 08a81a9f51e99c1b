import { foreignDisk, streamWithFooter } from '../foreign-disks.ts';
import type { HostileDisk } from './disk.ts';

type Row = readonly [name: string, rule: string, make: () => Buffer];

/** Fields of a sparse extent's header by their offsets, little-endian (VMware's "Virtual Disk Format 5.0"). */
const fields = {
  version: [4, 4],
  flags: [8, 4],
  capacity: [12, 8],
  grain: [20, 8],
  descriptorOffset: [28, 8],
  descriptorSectors: [36, 8],
  entriesPerTable: [44, 4],
  redundantOffset: [48, 8],
  directoryOffset: [56, 8],
  unclean: [72, 1],
  newlines: [73, 4],
  compression: [77, 2],
} as const;

type Changes = Partial<Record<keyof typeof fields, bigint | number>>;

const sparse = (): Buffer => foreignDisk('vmdk', 'subformat=monolithicSparse');
const stream = (): Buffer => foreignDisk('vmdk', 'subformat=streamOptimized');
const footerFromEnd = 1024;

/** A copy with other values in the header, or in the footer's copy of it, which begins at `from`. */
function withVmdkFields(disk: Buffer, changes: Changes, from = 0): Buffer {
  const copy = Buffer.from(disk);
  for (const [name, value] of Object.entries(changes) as [keyof Changes, bigint | number][]) {
    const [offset, bytes] = fields[name];
    if (bytes === 8) copy.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), from + offset);
    else copy.writeUIntLE(Number(value), from + offset, bytes);
  }
  return copy;
}

const changed =
  (changes: Changes): (() => Buffer) =>
  () =>
    withVmdkFields(sparse(), changes);

/** A disk whose descriptor is another text, made from its own. */
function described(change: (text: string) => string, disk = sparse()): Buffer {
  const copy = Buffer.from(disk);
  const text = copy.toString('latin1', 512, 21 * 512).replace(/\0.*$/s, '');
  copy.fill(0, 512, 21 * 512);
  copy.write(change(text), 512, 20 * 512, 'latin1');
  return copy;
}

const extent =
  (line: string): (() => Buffer) =>
  () =>
    described((text) => text.replace(/^RW .*$/m, line));
const line =
  (added: string): (() => Buffer) =>
  () =>
    described((text) => `${text}\n${added}\n`);

const rows: readonly Row[] = [
  [
    'vmdk-flat',
    'vmdk-type',
    () => Buffer.from('# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 100 FLAT "/etc/shadow" 0\n'),
  ],
  ['vmdk-cowd', 'vmdk-type', () => Buffer.concat([Buffer.from('COWD\x01\0\0\0'), Buffer.alloc(4096)])],
  ['vmdk-sesparse', 'vmdk-type', () => Buffer.concat([Buffer.from('cafebabe00000000', 'hex'), Buffer.alloc(4096)])],
  ['vmdk-is-html', 'magic', () => Buffer.from('<html>')],
  ['vmdk-empty', 'magic', () => Buffer.alloc(0)],
  ['vmdk-magic-alone', 'truncated', () => Buffer.from('KDMV')],
  ['vmdk-version-0', 'version', changed({ version: 0 })],
  ['vmdk-version-4', 'version', changed({ version: 4 })],
  // QEMU takes the extents from the descriptor then, whatever files they name.
  [
    'vmdk-capacity-0',
    'virtual-size',
    () =>
      withVmdkFields(
        described((text) => text.replace(/^RW .*$/m, 'RW 100 FLAT "/etc/shadow" 0')),
        { capacity: 0 },
      ),
  ],
  ['vmdk-capacity-max', 'virtual-size', changed({ capacity: -1n })],
  ['vmdk-capacity-2^53', 'vmdk-directory', changed({ capacity: 1n << 53n, grain: 4096 })],
  ['vmdk-capacity-lie', 'vmdk-extents', changed({ capacity: 128 })],
  ['vmdk-100T', 'vmdk-directory', changed({ capacity: (100n << 40n) / 512n })],
  ['vmdk-grain-0', 'vmdk-grains', changed({ grain: 0 })],
  ['vmdk-grain-max', 'vmdk-grains', changed({ grain: 1n << 63n })],
  ['vmdk-grain-odd', 'vmdk-grains', changed({ grain: 100 })],
  ['vmdk-tables-0', 'vmdk-grains', changed({ entriesPerTable: 0 })],
  ['vmdk-tables-2^32', 'vmdk-grains', changed({ entriesPerTable: 0xffff_ffff })],
  ['vmdk-text-transfer', 'vmdk-transfer', changed({ newlines: 0x0a0a200a })],
  ['vmdk-unclean', 'dirty', changed({ unclean: 1 })],
  ['vmdk-compression-lie', 'compression-type', changed({ compression: 1 })],
  ['vmdk-compression-9', 'compression-type', () => withVmdkFields(stream(), { compression: 9 })],
  ['vmdk-directory-out', 'vmdk-directory', changed({ directoryOffset: 1n << 40n })],
  ['vmdk-directory-0', 'vmdk-directory', changed({ directoryOffset: 0 })],
  ['vmdk-redundant-out', 'vmdk-directory', changed({ redundantOffset: (1n << 64n) - 2n })],
  ['vmdk-descriptor-none', 'vmdk-descriptor', changed({ descriptorOffset: 0, descriptorSectors: 0 })],
  ['vmdk-descriptor-out', 'vmdk-descriptor', changed({ descriptorOffset: 1n << 50n })],
  ['vmdk-descriptor-huge', 'vmdk-descriptor', changed({ descriptorSectors: 1n << 40n })],
  ['vmdk-descriptor-is-data', 'vmdk-descriptor', changed({ descriptorOffset: 128 })],
  ['vmdk-descriptor-binary', 'vmdk-descriptor', line('x=\u0001\u0002')],
  ['vmdk-descriptor-lines', 'vmdk-descriptor', line('\n'.repeat(5_000))],
  ['vmdk-parent-name', 'backing-file', line('parentFileNameHint="/etc/shadow"')],
  ['vmdk-parent-name-behind', 'backing-file', line('\0parentFileNameHint="/etc/shadow"')],
  ['vmdk-parent-cid', 'backing-file', () => described((text) => text.replace(/^parentCID=.*$/m, 'parentCID=12345678'))],
  ['vmdk-parent-cid-none', 'backing-file', () => described((text) => text.replace(/^parentCID=.*$/m, ''))],
  ['vmdk-parent-cid-twice', 'backing-file', line('parentCID=12345678')],
  ['vmdk-type-flat', 'vmdk-type', () => described((text) => text.replace('monolithicSparse', 'monolithicFlat'))],
  ['vmdk-type-device', 'vmdk-type', () => described((text) => text.replace('monolithicSparse', 'fullDevice'))],
  ['vmdk-type-none', 'vmdk-type', () => described((text) => text.replace(/^createType=.*$/m, ''))],
  ['vmdk-type-twice', 'vmdk-type', line('createType="monolithicFlat"')],
  ['vmdk-extent-flat', 'vmdk-extents', extent('RW 32768 FLAT "/etc/shadow" 0')],
  ['vmdk-extent-vmfs', 'vmdk-extents', extent('RW 32768 VMFS "/etc/shadow"')],
  ['vmdk-extent-zero', 'vmdk-extents', extent('RW 32768 ZERO')],
  ['vmdk-extent-none', 'vmdk-extents', extent('')],
  ['vmdk-extent-no-access', 'vmdk-extents', extent('NOACCESS 32768 SPARSE "x"')],
  ['vmdk-extents-two', 'vmdk-extents', line('RW 32768 FLAT "/etc/shadow" 0')],
  ['vmdk-stream-cut', 'vmdk-footer', () => streamWithFooter().subarray(0, -512)],
  ['vmdk-stream-tiny', 'vmdk-descriptor', () => stream().subarray(0, 1024)],
  ['vmdk-footer-capacity', 'vmdk-footer', () => footer({ capacity: 64 })],
  ['vmdk-footer-capacity-0', 'virtual-size', () => footer({ capacity: 0 })],
  ['vmdk-footer-descriptor', 'vmdk-footer', () => footer({ descriptorOffset: 2 })],
  ['vmdk-footer-directory', 'vmdk-directory', () => footer({ directoryOffset: 1n << 40n })],
  ['vmdk-footer-again', 'vmdk-footer', () => footer({ directoryOffset: -1n })],
  ['vmdk-grain-out', 'qemu-check', () => table((entries) => entries.fill(0xf0, 0, 16))],
];

/** Crafted VMDK disks. */
export const hostileVmdk: readonly HostileDisk[] = [
  ...rows.map(([name, rule, make]): HostileDisk => ({ name, format: 'vmdk', rule, make })),
  {
    name: 'vmdk-directory-entry-out',
    format: 'vmdk',
    rule: 'passed',
    because: 'a grain table behind the end of the file reads as zeros, so that QEMU sees none: the digest guards against damage',
    make: () => withDirectoryEntry(0xf0f0f0f0),
  },
];

function withDirectoryEntry(sector: number): Buffer {
  const disk = Buffer.from(sparse());
  disk.writeUInt32LE(sector, Number(disk.readBigUInt64LE(fields.directoryOffset[0])) * 512);
  return disk;
}

function footer(changes: Changes): Buffer {
  const disk = streamWithFooter();
  return withVmdkFields(disk, changes, disk.length - footerFromEnd);
}

/** A disk whose first grain table is changed. */
function table(change: (entries: Buffer) => void): Buffer {
  const disk = Buffer.from(sparse());
  const directory = Number(disk.readBigUInt64LE(fields.directoryOffset[0])) * 512;
  change(disk.subarray(disk.readUInt32LE(directory) * 512));
  return disk;
}
