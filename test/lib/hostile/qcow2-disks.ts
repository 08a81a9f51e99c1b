import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rawContent } from '../foreign-disks.ts';
import { newQcow2, withExtensions, withFields, type Qcow2Field } from '../qcow2.ts';
import { tempDir } from '../temp.ts';
import type { HostileDisk } from './disk.ts';

type Row = readonly [name: string, rule: string, make: () => Buffer, because?: string];
type Changes = Partial<Record<Qcow2Field, bigint | number>>;

const extension = { backingFormat: 0xe2792aca, dataFile: 0x44415441, luks: 0x0537be77, bitmaps: 0x23852875, other: 0x6f746872 } as const;
const nameAt = 4096;
const copied = 1n << 63n;
const cluster = 65_536;

const changed =
  (changes: Changes, args: readonly string[] = []): (() => Buffer) =>
  () =>
    withFields(newQcow2('64M', args), changes);

const backed =
  (name: string, format?: string): (() => Buffer) =>
  () => {
    const disk = withFields(newQcow2('64M'), { backingOffset: nameAt, backingSize: name.length });
    const named = format === undefined ? disk : withExtensions(disk, [{ type: extension.backingFormat, data: format }]);
    named.write(name, nameAt);
    return named;
  };

const extended =
  (...extensions: Parameters<typeof withExtensions>[1]): (() => Buffer) =>
  () =>
    withExtensions(newQcow2('64M'), extensions);

const elsewhere: readonly Row[] = [
  ['backing-abs', 'backing-file', backed('/etc/shadow', 'raw')],
  ['backing-nofmt', 'backing-file', backed('/etc/shadow')],
  ['backing-json', 'backing-file', backed('json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}')],
  ['backing-nbd', 'backing-file', backed('nbd://127.0.0.1:10809/x', 'raw')],
  ['backing-self', 'backing-file', backed('disk', 'qcow2')],
  ['backing-fifo', 'backing-file', backed('/tmp/fifo', 'raw')],
  ['backing-device', 'backing-file', backed('/dev/vda', 'raw')],
  ['backing-descriptor', 'backing-file', backed('/proc/self/fd/0', 'raw')],
  ['backing-size-1023', 'backing-file', changed({ backingSize: 1023 })],
  ['backing-size-max', 'backing-file', changed({ backingOffset: 8, backingSize: 0xffff_ffff })],
  ['backing-offset-max', 'backing-file', changed({ backingOffset: -1n, backingSize: 8 })],
  ['backing-format-only', 'backing-file', extended({ type: extension.backingFormat, data: 'raw' })],
  [
    'datafile-mapped',
    'data-file',
    () => withExtensions(withFields(newQcow2('64M'), { incompatible: 4 }), [{ type: extension.dataFile, data: '/etc/shadow' }]),
  ],
  ['datafile-bit', 'data-file', changed({ incompatible: 4 })],
  ['datafile-name-only', 'data-file', extended({ type: extension.dataFile, data: '/etc/shadow' })],
  ['datafile-raw', 'data-file', changed({ autoclear: 2 })],
];

const secret: readonly Row[] = [
  ['crypt-luks-bad', 'encryption', changed({ cryptMethod: 2 })],
  ['crypt-aes', 'encryption', changed({ cryptMethod: 1 })],
  ['crypt-unknown', 'encryption', changed({ cryptMethod: 0xffff_ffff })],
  [
    'crypt-luks',
    'encryption',
    () => withExtensions(withFields(newQcow2('64M'), { cryptMethod: 2 }), [{ type: extension.luks, data: Buffer.alloc(16, 1) }]),
  ],
  ['crypt-header-only', 'encryption', extended({ type: extension.luks, data: Buffer.alloc(16, 0xff) })],
  ['luks-alone', 'magic', () => Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'), Buffer.alloc(2 ** 20)])],
];

const sizes: readonly Row[] = [
  ['size-100T', 'virtual-size', changed({ size: 100n << 40n })],
  ['size-1E', 'virtual-size', changed({ size: 1n << 60n })],
  ['size-8E', 'virtual-size', changed({ size: (1n << 63n) - 512n })],
  ['size-neg', 'virtual-size', changed({ size: -512n })],
  ['size-0', 'virtual-size', changed({ size: 0 })],
  ['size-odd', 'virtual-size', changed({ size: 64 * 2 ** 20 + 1 })],
  ['bomb-1T', 'l1-table', () => bomb(1)],
  ['bomb-wide', 'qemu-check', () => bomb(64)],
  ['bomb-compressed', 'qemu-check', () => bomb(64, (1n << 62n) | (127n << 54n))],
  ['snapshots-65536', 'internal-snapshots', changed({ snapshots: 65_536, snapshotsOffset: cluster })],
  ['snapshots-2^32', 'internal-snapshots', changed({ snapshots: 0xffff_ffff, snapshotsOffset: -1n })],
  ['snapshot-real', 'internal-snapshots', () => after('snapshot', '-c', 'first')],
  ['bitmaps-absurd', 'bitmaps', extended({ type: extension.bitmaps, data: Buffer.alloc(24, 0xff) })],
  ['bitmaps-none', 'bitmaps', extended({ type: extension.bitmaps, data: Buffer.alloc(24) })],
  ['bitmap-real', 'bitmaps', () => after('bitmap', '--add', 'first')],
];

const headers: readonly Row[] = [
  ...[0, 1, 4, 99, 0xffff_ffff].map((version): Row => [`version-${version}`, 'version', changed({ version })]),
  ...[0, 8, 22, 63, 255, 0xffff_ffff].map((bits): Row => [`cluster-bits-${bits}`, 'cluster-size', changed({ clusterBits: bits })]),
  ...[0, 72, 96, 108, cluster + 8, 0xffff_fff8].map((length): Row => [
    `header-length-${length}`,
    'header-length',
    changed({ headerLength: length }),
  ]),
  ['incompat-dirty', 'dirty', changed({ incompatible: 1 })],
  ['incompat-corrupt', 'corrupt', changed({ incompatible: 2 })],
  ['incompat-unknown-5', 'unknown-feature', changed({ incompatible: 32 })],
  ['incompat-unknown-63', 'unknown-feature', changed({ incompatible: 1n << 63n })],
  ['compression-bit-only', 'compression-type', changed({ incompatible: 8 })],
  ['compression-type-only', 'compression-type', () => withByte(newQcow2('64M'), 104, 1)],
  ['compression-type-9', 'compression-type', () => withByte(withFields(newQcow2('64M'), { incompatible: 8 }), 104, 9)],
  ['extended-l2-small', 'extended-l2', changed({ incompatible: 16 }, ['-o', 'cluster_size=4k'])],
  ['extended-l2-lie', 'qemu-check', () => withFields(converted(), { incompatible: 16 })],
  ['refcount-order-7', 'refcount-order', changed({ refcountOrder: 7 })],
  ['refcount-order-max', 'refcount-order', changed({ refcountOrder: 0xffff_ffff })],
  ['refcount-order-lie', 'qemu-check', changed({ refcountOrder: 6 })],
  ['header-padding', 'header-length', () => withByte(newQcow2('64M'), 108, 1)],
  ['extension-too-long', 'header-extension', extended({ type: extension.other, data: 'x', length: cluster })],
  ['extension-4G', 'header-extension', extended({ type: extension.other, data: 'x', length: 0xffff_ffff })],
  ['extensions-100000', 'header-extension', manyExtensions],
  ['extensions-endless', 'header-extension', extended({ type: extension.other, data: Buffer.alloc(cluster - 112 - 8) })],
  ['truncated-header', 'truncated', () => newQcow2().subarray(0, 71)],
  ['truncated-v3', 'truncated', () => newQcow2().subarray(0, 103)],
  ['truncated-cluster', 'l1-table', () => newQcow2().subarray(0, cluster - 1)],
  ['truncated-4', 'truncated', () => newQcow2().subarray(0, 4)],
];

const tables: readonly Row[] = [
  ['l1-out', 'l1-table', changed({ l1Offset: 1n << 40n })],
  ['l1-at-2^64', 'l1-table', changed({ l1Offset: -BigInt(cluster) })],
  ['l1-header', 'l1-table', changed({ l1Offset: 0 })],
  ['l1-unaligned', 'l1-table', changed({ l1Offset: 3 * cluster + 8 })],
  ['l1-none', 'l1-table', changed({ l1Size: 0 })],
  ['l1-2^32', 'l1-table', changed({ l1Size: 0xffff_ffff })],
  ['l1-is-refcount-table', 'tables-overlap', changed({ l1Offset: cluster })],
  ['l1-is-refcount-block', 'refcount-table', changed({ l1Offset: 2 * cluster })],
  ['l2-out', 'l1-table', () => withL1(converted(), copied | (1n << 50n))],
  ['l2-is-l1', 'l1-table', () => withL1(converted(), copied | converted().readBigUInt64BE(40))],
  ['l2-reserved-bits', 'l1-table', () => withL1(converted(), copied | 1n)],
  ['l2-self', 'qemu-check', () => withL2(converted(), (l2) => copied | l2)],
  ['l2-to-header', 'qemu-check', () => withL2(converted(), () => copied | 0x100n)],
  ['data-unaligned', 'qemu-check', () => withL2(converted(), (_l2, entry) => entry | 0x200n)],
  ['data-twice', 'qemu-check', () => withL2(converted(), (_l2, entry) => entry, 2)],
  ['refcount-table-out', 'refcount-table', changed({ refcountOffset: 1n << 40n })],
  ['refcount-table-header', 'refcount-table', changed({ refcountOffset: 0 })],
  ['refcount-table-none', 'refcount-table', changed({ refcountClusters: 0 })],
  ['refcount-table-2^32', 'refcount-table', changed({ refcountClusters: 0xffff_ffff })],
  ['refcount-block-out', 'refcount-table', () => withEntry(newQcow2('64M'), cluster, 1n << 40n)],
  ['refcount-block-is-table', 'refcount-table', () => withEntry(newQcow2('64M'), cluster, BigInt(cluster))],
  ['refcount-zero', 'qemu-check', () => newQcow2('64M').fill(0, 2 * cluster, 3 * cluster)],
  ['refcount-table-zero', 'qemu-check', () => newQcow2('64M').fill(0, cluster, 2 * cluster)],
  ['truncated-l2', 'l1-table', () => cut(converted(), (disk) => l2Of(disk))],
  [
    'truncated-data',
    'passed',
    () => cut(converted(), (disk) => disk.length - 1_000),
    'neither our reading nor qemu-img check sees a last cluster that is cut short: the digest guards against it',
  ],
];

const others: readonly Row[] = [
  ['empty', 'magic', () => Buffer.alloc(0)],
  ['text', 'magic', () => Buffer.from('hello\n')],
  ['html', 'magic', () => Buffer.from('<!DOCTYPE html><html><body>404 not found</body></html>')],
  ['tar', 'magic', tar],
  ['gzip', 'magic', () => Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(1024)])],
  ['zeros', 'magic', () => Buffer.alloc(2 ** 20)],
  [
    'vmdk-flat-as-qcow2',
    'magic',
    () => Buffer.from('# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 100 FLAT "/etc/shadow" 0\n'),
  ],
  ['qcow1', 'version', () => withFields(newQcow2('64M'), { version: 1 })],
  ['polyglot-iso-backing', 'backing-file', () => withText(backed('/etc/shadow', 'raw')(), 0x8001, 'CD001')],
  [
    'polyglot-iso',
    'passed',
    () => withText(newQcow2('64M'), 0x8001, 'CD001'),
    'the format is named wherever it is opened: what else the bytes might be does not count',
  ],
];

const raws: readonly Row[] = [
  [
    'raw-qcow2-inside',
    'passed',
    () => backed('/etc/shadow', 'raw')().subarray(0, 2 * cluster),
    'it is opened as raw for ever: the guest sees these bytes and no others',
  ],
  ['raw-vmdk-inside', 'passed', () => padded('# Disk DescriptorFile\nRW 100 FLAT "/etc/shadow" 0\n'), 'as raw-qcow2-inside'],
  ['raw-empty', 'virtual-size', () => Buffer.alloc(0)],
  ['raw-half-sector', 'virtual-size', () => Buffer.alloc(1_000)],
  ['raw-html', 'virtual-size', () => Buffer.from('<html>404</html>')],
];

const asDisk =
  (format: HostileDisk['format']) =>
  ([name, rule, make, because]: Row): HostileDisk => ({ name, format, rule, make, ...(because === undefined ? {} : { because }) });

/** Crafted qcow2 and raw disks: the rows of QEMU's history of image bugs, and what its format document leaves to lie about. */
export const hostileQcow2: readonly HostileDisk[] = [
  ...[...elsewhere, ...secret, ...sizes, ...headers, ...tables, ...others].map(asDisk('qcow2')),
  { name: 'sparse-giant', format: 'qcow2', rule: 'file-size', make: () => newQcow2('64M'), fileBytes: 15 * 2 ** 40 },
  { name: 'raw-sparse-giant', format: 'raw', rule: 'file-size', make: () => Buffer.alloc(512), fileBytes: 15 * 2 ** 40 },
  ...raws.map(asDisk('raw')),
];

/** A disk with data, as qemu-img converts it. */
function converted(): Buffer {
  const dir = tempDir();
  writeFileSync(join(dir, 'raw'), rawContent());
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(dir, 'raw'), join(dir, 'qcow2')]);
  return readFileSync(join(dir, 'qcow2'));
}

function after(command: string, option: string, name: string): Buffer {
  const file = join(tempDir(), 'disk');
  writeFileSync(file, converted());
  const order = command === 'bitmap' ? [command, option, '-f', 'qcow2', file, name] : [command, option, name, file];
  execFileSync('qemu-img', order);
  return readFileSync(file);
}

/** A disk of 1 TiB whose L1 entries lead to `l2Tables` tables, one after the other, whose entries all lead to one cluster. */
function bomb(l2Tables: number, flags = copied): Buffer {
  const sound = newQcow2('1T');
  const [l1, entries] = [Number(sound.readBigUInt64BE(40)), sound.readUInt32BE(36)];
  const tablesAt = Math.ceil(sound.length / cluster) * cluster;
  const dataAt = tablesAt + l2Tables * cluster;
  const disk = Buffer.concat([sound, Buffer.alloc(dataAt + cluster - sound.length)]);
  const used = l2Tables === 1 ? entries : l2Tables;
  for (let entry = 0; entry < used; entry += 1) {
    disk.writeBigUInt64BE(copied | BigInt(tablesAt + (entry % l2Tables) * cluster), l1 + entry * 8);
  }
  for (let at = tablesAt; at < dataAt; at += 8) disk.writeBigUInt64BE(flags | BigInt(dataAt), at);
  return disk;
}

function l2Of(disk: Buffer): number {
  return Number(disk.readBigUInt64BE(Number(disk.readBigUInt64BE(40))) & ~copied);
}

function withL1(disk: Buffer, entry: bigint): Buffer {
  return withEntry(disk, Number(disk.readBigUInt64BE(40)), entry);
}

function withL2(disk: Buffer, entryOf: (l2: bigint, first: bigint) => bigint, index = 0): Buffer {
  const l2 = l2Of(disk);
  return withEntry(disk, l2 + index * 8, entryOf(BigInt(l2), disk.readBigUInt64BE(l2)));
}

function withEntry(disk: Buffer, at: number, value: bigint): Buffer {
  const copy = Buffer.from(disk);
  copy.writeBigUInt64BE(value, at);
  return copy;
}

function withByte(disk: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(disk);
  copy[at] = value;
  return copy;
}

function withText(disk: Buffer, at: number, text: string): Buffer {
  const copy = Buffer.from(disk);
  copy.write(text, at);
  return copy;
}

function cut(disk: Buffer, at: (disk: Buffer) => number): Buffer {
  return disk.subarray(0, at(disk));
}

function manyExtensions(): Buffer {
  const disk = newQcow2('64M', ['-o', 'cluster_size=2M']);
  return withExtensions(
    disk,
    Array.from({ length: 100_000 }, () => ({ type: extension.other, data: '' })),
  );
}

function padded(text: string): Buffer {
  const sector = Buffer.alloc(512);
  sector.write(text);
  return sector;
}

function tar(): Buffer {
  const archive = Buffer.alloc(10_240);
  archive.write('disk/disk.qcow2');
  archive.write('ustar\0', 257);
  return archive;
}
