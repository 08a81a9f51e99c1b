import { crc32c } from '../../../src/images/door/crc32c.ts';
import { foreignDisk } from '../foreign-disks.ts';
import type { HostileDisk } from './disk.ts';

type Row = readonly [name: string, rule: string, make: () => Buffer];
type Write = (disk: Buffer) => unknown;

const vdi =
  (write: Write): (() => Buffer) =>
  () => {
    const disk = Buffer.from(foreignDisk('vdi', ''));
    write(disk);
    return disk;
  };

/** Offsets as in VirtualBox's VDICore.h. */
const vdiRows: readonly Row[] = [
  ['vdi-is-html', 'magic', () => Buffer.from('<html>')],
  ['vdi-cut-in-header', 'truncated', () => foreignDisk('vdi', '').subarray(0, 300)],
  ['vdi-version', 'version', vdi((disk) => disk.writeUInt32LE(0x0002_0000, 0x44))],
  ['vdi-undo', 'vdi-type', vdi((disk) => disk.writeUInt32LE(3, 0x4c))],
  ['vdi-difference', 'vdi-type', vdi((disk) => disk.writeUInt32LE(4, 0x4c))],
  ['vdi-link', 'backing-file', vdi((disk) => disk.fill(1, 0x1a8, 0x1b8))],
  ['vdi-parent', 'backing-file', vdi((disk) => disk.fill(1, 0x1b8, 0x1c8))],
  ['vdi-header-length', 'header-length', vdi((disk) => disk.writeUInt32LE(0xffff_ffff, 0x48))],
  ['vdi-sectors', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(4096, 0x168))],
  ['vdi-block-extra', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(512, 0x17c))],
  ['vdi-block-0', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(0, 0x178))],
  ['vdi-block-2G', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(2 ** 31, 0x178))],
  ['vdi-blocks-2^32', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(0xffff_ffff, 0x180))],
  ['vdi-allocated-2^32', 'vdi-blocks', vdi((disk) => disk.writeUInt32LE(0xffff_ffff, 0x184))],
  ['vdi-size-lie', 'vdi-blocks', vdi((disk) => disk.writeBigUInt64LE(1n << 62n, 0x170))],
  ['vdi-size-0', 'virtual-size', () => growing(0n)],
  ['vdi-size-odd', 'virtual-size', vdi((disk) => disk.writeBigUInt64LE(16n * 2n ** 20n - 1n, 0x170))],
  ['vdi-size-3T', 'virtual-size', () => growing(3n << 40n)],
  ['vdi-map-in-header', 'vdi-offsets', vdi((disk) => disk.writeUInt32LE(0, 0x154))],
  ['vdi-map-out', 'vdi-offsets', vdi((disk) => disk.writeUInt32LE(0xffff_fe00, 0x154))],
  ['vdi-map-odd', 'vdi-offsets', vdi((disk) => disk.writeUInt32LE(513, 0x154))],
  ['vdi-data-out', 'vdi-offsets', vdi((disk) => disk.writeUInt32LE(0xffff_fe00, 0x158))],
  ['vdi-cut', 'vdi-offsets', () => foreignDisk('vdi', '').subarray(0, 1_500_000)],
  ['vdi-bomb', 'qemu-check', vdi((disk) => sized(disk, 64n << 30n))],
  ['vdi-map-to-nowhere', 'qemu-check', vdi((disk) => disk.writeUInt32LE(0x7fff_0000, 512))],
];

/** A disk of another size, all of whose blocks are its first one. */
function sized(disk: Buffer, bytes: bigint): void {
  const blocks = Number(bytes / 2n ** 20n);
  const data = 512 + Math.ceil((blocks * 4) / 512) * 512;
  disk.writeBigUInt64LE(bytes, 0x170);
  disk.writeUInt32LE(blocks, 0x180);
  disk.writeUInt32LE(1, 0x184);
  disk.writeUInt32LE(data, 0x158);
  disk.fill(0, 512, data);
  disk.fill('not zero', data);
}

/** A disk of any size, in a file that has room for its block map. */
function growing(bytes: bigint): Buffer {
  const disk = Buffer.alloc(16 * 2 ** 20);
  foreignDisk('vdi', '').copy(disk, 0, 0, 512);
  sized(disk, bytes);
  if (bytes === 0n) disk.writeUInt32LE(0, 0x184);
  return disk;
}

const kib64 = 65_536;
const copies = { first: kib64, second: 2 * kib64 } as const;
const regionTable = 3 * kib64;

/** A copy with a structure of `length` bytes at `at` changed, and its checksum made right again. */
function resealed(disk: Buffer, at: number, length: number, write: Write): void {
  const part = disk.subarray(at, at + length);
  write(part);
  part.fill(0, 4, 8);
  part.writeUInt32LE(crc32c(part), 4);
}

const vhdx =
  (write: Write): (() => Buffer) =>
  () => {
    const disk = Buffer.from(foreignDisk('vhdx', 'block_size=1M'));
    write(disk);
    return disk;
  };

const header = (write: Write): (() => Buffer) => vhdx((disk) => Object.values(copies).map((at) => resealed(disk, at, 4096, write)));
/** A region table with an entry more, whose identifier nobody knows and which must be understood. */
function oneMore(table: Buffer): void {
  const count = table.readUInt32LE(8);
  table.writeUInt32LE(count + 1, 8);
  table.fill(1, 16 + count * 32, 48 + count * 32);
}

const regions = (write: Write): (() => Buffer) => vhdx((disk) => resealed(disk, regionTable, kib64, write));

/** Changes an item of the metadata region, found by the first bytes of its identifier. */
const item = (guid: string, write: (value: Buffer, entry: Buffer, region: Buffer) => unknown): (() => Buffer) =>
  vhdx((disk) => {
    const region = disk.subarray(metadataOf(disk));
    for (let at = 32; at < 32 + region.readUInt16LE(10) * 32; at += 32) {
      const entry = region.subarray(at, at + 32);
      if (entry.toString('hex', 0, 4) === guid) write(region.subarray(entry.readUInt32LE(16)), entry, region);
    }
  });

const guids = { parameters: '3767a1ca', size: '2442a52f', sector: '1dbf4181' } as const;

function metadataOf(disk: Buffer): number {
  for (let at = regionTable + 16; ; at += 32) {
    if (disk.toString('hex', at, at + 4) === '06a27c8b') return Number(disk.readBigUInt64LE(at + 16));
  }
}

/** Offsets as in [MS-VHDX]. */
const vhdxRows: readonly Row[] = [
  ['vhdx-is-html', 'magic', () => Buffer.from('<html>')],
  ['vhdx-magic-alone', 'vhdx-header', () => Buffer.from('vhdxfile')],
  ['vhdx-headers-damaged', 'vhdx-header', vhdx((disk) => Object.values(copies).map((at) => disk.fill(0xff, at + 100, at + 104)))],
  ['vhdx-version', 'version', header((part) => part.writeUInt16LE(2, 66))],
  ['vhdx-log', 'dirty', header((part) => part.fill(1, 48, 64))],
  ['vhdx-log-out', 'vhdx-regions', header((part) => part.writeBigUInt64LE(1n << 40n, 72))],
  ['vhdx-log-none', 'vhdx-regions', header((part) => part.writeUInt32LE(0, 68))],
  ['vhdx-regions-damaged', 'vhdx-regions', vhdx((disk) => disk.writeUInt32LE(0xffff_ffff, regionTable + 8))],
  ['vhdx-regions-2^32', 'vhdx-regions', regions((part) => part.writeUInt32LE(0xffff_ffff, 8))],
  ['vhdx-regions-none', 'vhdx-regions', regions((part) => part.writeUInt32LE(0, 8))],
  ['vhdx-regions-twice', 'vhdx-regions', regions((part) => part.copy(part, 48, 16, 48))],
  ['vhdx-region-unknown', 'unknown-feature', regions((part) => oneMore(part))],
  ['vhdx-region-out', 'vhdx-regions', regions((part) => part.writeBigUInt64LE(1n << 62n, 32))],
  ['vhdx-region-in-header', 'vhdx-regions', regions((part) => part.writeBigUInt64LE(0n, 32))],
  ['vhdx-region-4G', 'vhdx-regions', regions((part) => part.writeUInt32LE(0xffff_ffff, 40))],
  ['vhdx-regions-overlap', 'tables-overlap', regions((part) => part.copy(part, 32, 64, 72))],
  ['vhdx-metadata-none', 'vhdx-metadata', vhdx((disk) => disk.fill(0, metadataOf(disk), metadataOf(disk) + 8))],
  ['vhdx-metadata-items', 'vhdx-metadata', vhdx((disk) => disk.writeUInt16LE(0xffff, metadataOf(disk) + 10))],
  ['vhdx-metadata-lack', 'vhdx-metadata', vhdx((disk) => disk.writeUInt16LE(1, metadataOf(disk) + 10))],
  ['vhdx-item-out', 'vhdx-metadata', item(guids.size, (_value, entry) => entry.writeUInt32LE(0xffff_fff0, 16))],
  ['vhdx-item-in-table', 'vhdx-metadata', item(guids.size, (_value, entry) => entry.writeUInt32LE(0, 16))],
  ['vhdx-item-4G', 'vhdx-metadata', item(guids.size, (_value, entry) => entry.writeUInt32LE(0xffff_ffff, 20))],
  ['vhdx-item-unknown', 'unknown-feature', item(guids.size, (_value, entry) => entry.fill(1, 0, 16))],
  ['vhdx-parent-bit', 'backing-file', item(guids.parameters, (value) => value.writeUInt32LE(2, 4))],
  ['vhdx-parent-locator', 'backing-file', item(guids.sector, (_value, entry) => entry.write('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex'))],
  ['vhdx-block-0', 'vhdx-blocks', item(guids.parameters, (value) => value.writeUInt32LE(0))],
  ['vhdx-block-2G', 'vhdx-blocks', item(guids.parameters, (value) => value.writeUInt32LE(2 ** 31))],
  ['vhdx-block-odd', 'vhdx-blocks', item(guids.parameters, (value) => value.writeUInt32LE(3 * 2 ** 20))],
  ['vhdx-sector-1', 'vhdx-blocks', item(guids.sector, (value) => value.writeUInt32LE(1))],
  ['vhdx-size-0', 'virtual-size', item(guids.size, (value) => value.writeBigUInt64LE(0n))],
  ['vhdx-size-odd', 'virtual-size', item(guids.size, (value) => value.writeBigUInt64LE(513n))],
  ['vhdx-size-64T', 'vhdx-regions', item(guids.size, (value) => value.writeBigUInt64LE(64n << 40n))],
  ['vhdx-size-2^63', 'vhdx-regions', item(guids.size, (value) => value.writeBigUInt64LE(1n << 63n))],
];

/** Crafted VDI and VHDX disks. */
export const hostileVdiAndVhdx: readonly HostileDisk[] = [
  ...vdiRows.map(([name, rule, make]): HostileDisk => ({ name, format: 'vdi', rule, make })),
  ...vhdxRows.map(([name, rule, make]): HostileDisk => ({ name, format: 'vhdx', rule, make })),
  { name: 'vdi-sparse-giant', format: 'vdi', rule: 'file-size', make: () => foreignDisk('vdi', ''), fileBytes: 15 * 2 ** 40 },
];
