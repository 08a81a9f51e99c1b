import { Refusal } from '../failures.ts';
import { littleEndian, type LittleEndian } from './little-endian.ts';

const maxItems = 2_047; // [MS-VHDX] 2.6.1.1
const itemsFrom = 65_536;
const hasParent = 2;
const required = 4;

/** Items by their identifiers, as their bytes lie in the file, with the length that each has. */
const known = {
  fileParameters: ['3767a1ca36fa434db3b633f0aa44e76b', 8],
  virtualDiskSize: ['2442a52f1bcd7648b2115dbed83bf4b8', 8],
  logicalSectorSize: ['1dbf41816fa90947ba47f233a8faab5f', 4],
  physicalSectorSize: ['c748a3cd5d4471449cc9e9885251c556', 4],
  page83Data: ['ab12cabee6b2234593efc309e000c746', 16],
} as const;

const parentLocator = '2d5fd3a80bb34d45abf7d3d84834ab0c';

/** What the metadata say. */
export interface VhdxFacts {
  readonly virtualSizeBytes: bigint;
  /** Entries that the block table must have, 8 bytes each. */
  readonly tableEntries: bigint;
}

/** Reads the metadata region. Throws `Refusal` for a disk with a parent and for what contradicts the format. Source: [MS-VHDX] 2.6. */
export function readVhdxMetadata(region: Uint8Array): VhdxFacts {
  const bytes = littleEndian(region);
  if (region.length < itemsFrom || bytes.hex(0, 8) !== '6d65746164617461') throw refusal('its metadata begin with no table');
  const items = itemsOf(bytes);
  const item = (name: keyof typeof known): number => {
    const [guid, length] = known[name];
    const found = items.get(guid);
    if (!found || found.length < length) throw refusal(`its metadata lack ${name}`);
    return found.offset;
  };
  if (items.has(parentLocator) || (bytes.u32(item('fileParameters') + 4) & hasParent) !== 0) {
    throw new Refusal('backing-file', 'vhdx: it is based on another disk');
  }
  const blockBytes = BigInt(bytes.u32(item('fileParameters')));
  const sectorBytes = BigInt(bytes.u32(item('logicalSectorSize')));
  const isSane = blockBytes >= 2n ** 20n && blockBytes <= 2n ** 28n && (blockBytes & (blockBytes - 1n)) === 0n;
  if (!isSane) throw new Refusal('vhdx-blocks', 'vhdx: blocks must have 1 to 256 MiB, a power of two');
  if (sectorBytes !== 512n && sectorBytes !== 4096n) throw new Refusal('vhdx-blocks', 'vhdx: sectors must have 512 or 4096 bytes');
  const virtualSizeBytes = bytes.u64(item('virtualDiskSize'));
  if (virtualSizeBytes % sectorBytes !== 0n) throw new Refusal('virtual-size', 'vhdx: the disk must have whole sectors');
  const blocks = (virtualSizeBytes + blockBytes - 1n) / blockBytes;
  const blocksPerBitmap = (2n ** 23n * sectorBytes) / blockBytes;
  return { virtualSizeBytes, tableEntries: blocks === 0n ? 0n : blocks + (blocks - 1n) / blocksPerBitmap };
}

interface Item {
  readonly offset: number;
  readonly length: number;
}

function itemsOf(bytes: LittleEndian): ReadonlyMap<string, Item> {
  const count = bytes.u16(10);
  if (count > maxItems) throw refusal(`there are more than ${maxItems} metadata items`);
  const guids: ReadonlySet<string> = new Set([parentLocator, ...Object.values(known).map(([guid]) => guid)]);
  const items = new Map<string, Item>();
  for (let at = 32; at < 32 + count * 32; at += 32) {
    const guid = bytes.hex(at, 16);
    const [offset, length, flags] = [bytes.u32(at + 16), bytes.u32(at + 20), bytes.u32(at + 24)];
    if (!guids.has(guid)) {
      if ((flags & required) !== 0) throw new Refusal('unknown-feature', 'vhdx: it has metadata that are not known');
      continue;
    }
    if (items.has(guid)) throw refusal('it has a metadata item twice');
    if (offset < itemsFrom || offset + length > bytes.length) throw refusal('a metadata item lies outside the metadata');
    items.set(guid, { offset, length });
  }
  return items;
}

function refusal(says: string): Refusal {
  return new Refusal('vhdx-metadata', `vhdx: ${says}`);
}
