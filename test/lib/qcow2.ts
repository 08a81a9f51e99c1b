import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp.ts';

/** A new, empty qcow2 disk of qemu-img's, as bytes; `args` come before its size. */
export function newQcow2(size = '16M', args: readonly string[] = []): Buffer {
  const file = join(tempDir(), 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...args, file, size]);
  const bytes = readFileSync(file);
  rmSync(file);
  return bytes;
}

/** Fields of the header by their offsets (QEMU's docs/interop/qcow2.txt), all big-endian. */
const fields = {
  version: [4, 4],
  backingOffset: [8, 8],
  backingSize: [16, 4],
  clusterBits: [20, 4],
  size: [24, 8],
  cryptMethod: [32, 4],
  l1Size: [36, 4],
  l1Offset: [40, 8],
  refcountOffset: [48, 8],
  refcountClusters: [56, 4],
  snapshots: [60, 4],
  snapshotsOffset: [64, 8],
  incompatible: [72, 8],
  compatible: [80, 8],
  autoclear: [88, 8],
  refcountOrder: [96, 4],
  headerLength: [100, 4],
} as const;

/** A header's field by name. */
export type Qcow2Field = keyof typeof fields;

/** A plausible version 3 header of a 16 MiB disk in a file of `syntheticFileBytes`, without extensions; padded to its first cluster. */
export function syntheticHeader(changes: Partial<Record<Qcow2Field, bigint | number>> = {}): Buffer {
  const header = Buffer.alloc(65_536);
  header.write('QFI\xfb', 'latin1');
  const sound = {
    version: 3,
    clusterBits: 16,
    size: 16 * 2 ** 20,
    l1Size: 1,
    l1Offset: 0x30000,
    refcountOffset: 0x10000,
    refcountClusters: 1,
  };
  return withFields(header, { ...sound, refcountOrder: 4, headerLength: 112, ...changes });
}

/** Size of the file that `syntheticHeader` is the beginning of. */
export const syntheticFileBytes = 0x40000;

/** A copy with other values in its header. */
export function withFields(disk: Buffer, changes: Partial<Record<Qcow2Field, bigint | number>>): Buffer {
  const copy = Buffer.from(disk);
  for (const [name, value] of Object.entries(changes) as [Qcow2Field, bigint | number][]) {
    const [offset, bytes] = fields[name];
    if (bytes === 8) copy.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), offset);
    else copy.writeUInt32BE(Number(value), offset);
  }
  return copy;
}

/** A copy with these header extensions in place of its own; `length` overrides what the extension says of itself. */
export function withExtensions(
  disk: Buffer,
  extensions: readonly { readonly type: number; readonly data: string | Buffer; readonly length?: number }[],
): Buffer {
  const copy = Buffer.from(disk);
  let at = 112;
  for (const { type, data, length } of extensions) {
    const bytes = Buffer.from(data);
    copy.writeUInt32BE(type, at);
    copy.writeUInt32BE(length ?? bytes.length, at + 4);
    bytes.copy(copy, at + 8);
    at += 8 + Math.ceil(bytes.length / 8) * 8;
  }
  copy.fill(0, at, at + 8);
  return copy;
}
