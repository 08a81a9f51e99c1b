import { crc32c } from '../../src/images/door/crc32c.ts';
import type { ForeignFormat } from '../../src/images/door/foreign-header.ts';
import type { Part, SparseFile } from './sparse-file.ts';

const mib = 2 ** 20;
const virtualBytes = 16 * mib;

/** The headers of a plausible disk of 16 MiB, made by hand from the format's document. */
export const syntheticForeign: Readonly<Record<ForeignFormat, () => SparseFile>> = { vmdk, vdi, vhdx };

/** A VMDK that says where its grain directory is in a footer. */
export function vmdkWithFooter(): SparseFile {
  const { fileBytes, parts } = vmdk();
  const [header, descriptor] = parts;
  if (!header || !descriptor) throw new Error('a part is missing');
  const footer = Buffer.alloc(512);
  header.bytes.copy(footer);
  header.bytes.fill(0xff, 56, 64);
  return { fileBytes, parts: [header, descriptor, { at: fileBytes - 1024, bytes: footer }] };
}

function vmdk(): SparseFile {
  const header = Buffer.alloc(512);
  header.write('KDMV', 'latin1');
  header.writeUInt32LE(1, 4);
  header.writeUInt32LE(3, 8);
  header.writeBigUInt64LE(BigInt(virtualBytes / 512), 12);
  header.writeBigUInt64LE(128n, 20);
  header.writeBigUInt64LE(1n, 28);
  header.writeBigUInt64LE(20n, 36);
  header.writeUInt32LE(512, 44);
  header.writeBigUInt64LE(21n, 48);
  header.writeBigUInt64LE(26n, 56);
  header.writeBigUInt64LE(128n, 64);
  header.write('\n \r\n', 73, 'latin1');
  const descriptor = Buffer.alloc(20 * 512);
  const lines = ['# Disk DescriptorFile', 'version=1', 'CID=12345678', 'parentCID=ffffffff', 'createType="monolithicSparse"', ''];
  descriptor.write([...lines, `RW ${virtualBytes / 512} SPARSE "disk.vmdk"`, 'ddb.adapterType = "ide"', ''].join('\n'));
  return {
    fileBytes: mib,
    parts: [
      { at: 0, bytes: header },
      { at: 512, bytes: descriptor },
    ],
  };
}

function vdi(): SparseFile {
  const header = Buffer.alloc(512);
  header.write('<<< a disk >>>\n');
  const words: readonly (readonly [number, number])[] = [
    [0x40, 0xbeda107f],
    [0x44, 0x0001_0001],
    [0x48, 0x180],
    [0x4c, 1],
    [0x154, 512],
    [0x158, 1024],
    [0x168, 512],
    [0x170, virtualBytes],
    [0x178, mib],
    [0x180, virtualBytes / mib],
    [0x184, 1],
  ];
  for (const [at, value] of words) header.writeUInt32LE(value, at);
  return { fileBytes: mib + 1024, parts: [{ at: 0, bytes: header }] };
}

function vhdx(): SparseFile {
  const parts: Part[] = [{ at: 0, bytes: Buffer.from('vhdxfile') }];
  for (const [index, at] of [65_536, 131_072].entries()) {
    const header = Buffer.alloc(4096);
    header.write('head');
    header.writeBigUInt64LE(BigInt(index + 1), 8);
    header.writeUInt16LE(1, 66);
    header.writeUInt32LE(mib, 68);
    header.writeBigUInt64LE(BigInt(mib), 72);
    parts.push({ at, bytes: header });
  }
  const regions = Buffer.alloc(65_536);
  regions.write('regi');
  regions.writeUInt32LE(2, 8);
  writeEntry(regions, 16, '6677c22d23f600429d64115e9bfd4a08', [3 * mib, 0, mib, 1]);
  writeEntry(regions, 48, '06a27c8b90479a4bb8fe575f050f886e', [2 * mib, 0, mib, 1]);
  parts.push({ at: 3 * 65_536, bytes: regions });
  const items = Buffer.alloc(32 + 3 * 32);
  items.write('metadata');
  items.writeUInt16LE(3, 10);
  writeEntry(items, 32, '3767a1ca36fa434db3b633f0aa44e76b', [65_536, 8, 4, 0]);
  writeEntry(items, 64, '2442a52f1bcd7648b2115dbed83bf4b8', [65_544, 8, 6, 0]);
  writeEntry(items, 96, '1dbf41816fa90947ba47f233a8faab5f', [65_552, 4, 6, 0]);
  parts.push({ at: 2 * mib, bytes: items });
  const values = Buffer.alloc(20);
  values.writeUInt32LE(mib, 0);
  values.writeBigUInt64LE(BigInt(virtualBytes), 8);
  values.writeUInt32LE(512, 16);
  parts.push({ at: 2 * mib + 65_536, bytes: values });
  const file = { fileBytes: 8 * mib, parts };
  resealVhdx(file);
  return file;
}

/** Makes the checksums of a VHDX right again, where its parts begin with a signature. */
export function resealVhdx({ parts }: SparseFile): void {
  for (const { bytes } of parts) {
    if (!['head', 'regi'].includes(bytes.toString('latin1', 0, 4))) continue;
    bytes.fill(0, 4, 8);
    bytes.writeUInt32LE(crc32c(bytes), 4);
  }
}

function writeEntry(table: Buffer, at: number, guid: string, words: readonly number[]): void {
  table.write(guid, at, 'hex');
  words.forEach((word, index) => table.writeUInt32LE(word, at + 16 + index * 4));
}
