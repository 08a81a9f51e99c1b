import { Refusal } from '../failures.ts';
import { littleEndian, type LittleEndian } from './little-endian.ts';
import type { ReadAt } from './read-at.ts';

const headerBytes = 0x180; // what QEMU writes; VirtualBox adds a second geometry. Counted from 0x48
const noIdentifier = '0'.repeat(32);
const types = { dynamic: 1, fixed: 2 } as const;

interface Fields {
  readonly size: bigint;
  readonly blockBytes: bigint;
  readonly blocks: bigint;
  readonly allocated: bigint;
  readonly mapOffset: bigint;
  readonly dataOffset: bigint;
  readonly fileBytes: bigint;
}

const rules: readonly { readonly name: string; readonly says: string; readonly holds: (fields: Fields) => boolean }[] = [
  { name: 'vdi-blocks', says: 'blocks must have 1 MiB', holds: (h) => h.blockBytes === 2n ** 20n },
  {
    name: 'vdi-blocks',
    says: 'the number of blocks does not fit the disk',
    holds: (h) => h.blocks === (h.size + h.blockBytes - 1n) / h.blockBytes && h.allocated <= h.blocks,
  },
  {
    name: 'vdi-offsets',
    says: 'the block map does not lie between header and data',
    holds: (h) => h.mapOffset >= 512n && h.mapOffset % 512n === 0n && h.mapOffset + h.blocks * 4n <= h.dataOffset,
  },
  {
    name: 'vdi-offsets',
    says: 'the data lies outside the file',
    holds: (h) =>
      h.dataOffset % 512n === 0n &&
      h.dataOffset <= h.fileBytes &&
      (h.allocated === 0n || h.dataOffset + (h.allocated - 1n) * h.blockBytes < h.fileBytes),
  },
];

/** Judges a VirtualBox disk by its header and answers its size in bytes. Throws `Refusal`. Source: VirtualBox's VDICore.h, QEMU's block/vdi.c. */
export async function readVdiHeader(readAt: ReadAt, fileBytes: number): Promise<bigint> {
  const bytes = littleEndian(await readAt(0, 512));
  if (bytes.length < 0x48 || bytes.u32(0x40) !== 0xbeda107f) throw new Refusal('magic', 'it is no VDI disk');
  if (bytes.length < 512) throw new Refusal('truncated', 'vdi: the file ends within its header');
  judgeKind(bytes);
  const fields: Fields = {
    size: bytes.u64(0x170),
    blockBytes: BigInt(bytes.u32(0x178)),
    blocks: BigInt(bytes.u32(0x180)),
    allocated: BigInt(bytes.u32(0x184)),
    mapOffset: BigInt(bytes.u32(0x154)),
    dataOffset: BigInt(bytes.u32(0x158)),
    fileBytes: BigInt(fileBytes),
  };
  for (const { name, says, holds } of rules) {
    if (!holds(fields)) throw new Refusal(name, `vdi: ${says}`);
  }
  return fields.size;
}

function judgeKind(bytes: LittleEndian): void {
  const type = bytes.u32(0x4c);
  if (bytes.u32(0x44) !== 0x0001_0001) throw new Refusal('version', 'vdi: the version must be 1.1');
  if (type !== types.dynamic && type !== types.fixed) throw new Refusal('vdi-type', 'vdi: the disk must be dynamic or fixed');
  if (bytes.u32(0x48) < headerBytes || bytes.u32(0x48) > 512 - 0x48) {
    throw new Refusal('header-length', 'vdi: the header length is impossible');
  }
  if (bytes.u32(0x168) !== 512 || bytes.u32(0x17c) !== 0)
    throw new Refusal('vdi-blocks', 'vdi: sectors must have 512 bytes, blocks nothing extra');
  if (bytes.hex(0x1a8, 16) !== noIdentifier || bytes.hex(0x1b8, 16) !== noIdentifier) {
    throw new Refusal('backing-file', 'vdi: it is based on another disk; clone it with VBoxManage clonemedium');
  }
}
