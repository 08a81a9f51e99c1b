import { Refusal } from '../failures.ts';
import { crc32c } from './crc32c.ts';
import { littleEndian, type LittleEndian } from './little-endian.ts';
import type { ReadAt } from './read-at.ts';
import { readVhdxMetadata } from './vhdx-metadata.ts';

const kib64 = 65_536;
const mib = 2 ** 20;
const headerBytes = 4_096;
const maxRegions = 2_047; // [MS-VHDX] 2.2.3.1
const maxMetadataBytes = mib;
const batGuid = '6677c22d23f600429d64115e9bfd4a08';
const metadataGuid = '06a27c8b90479a4bb8fe575f050f886e';
const noGuid = '0'.repeat(32);

interface Place {
  readonly offset: bigint;
  readonly length: bigint;
}

/**
 * Judges a Hyper-V disk by its header, region table and metadata and answers its size in bytes. One whose log has something to replay is
 * refused: that would be a change by whoever opens it. Throws `Refusal`. Source: Microsoft's [MS-VHDX].
 */
export async function readVhdxHeader(readAt: ReadAt, fileBytes: number): Promise<bigint> {
  const beginning = Buffer.from(await readAt(0, 8)).toString('latin1');
  if (beginning !== 'vhdxfile') throw new Refusal('magic', 'it is no VHDX disk');
  const header = currentHeader(await readAt(kib64, headerBytes), await readAt(2 * kib64, headerBytes));
  if (header.u16(66) !== 1) throw new Refusal('version', 'vhdx: the version must be 1');
  if (header.hex(48, 16) !== noGuid) throw new Refusal('dirty', 'vhdx: it was not closed properly, its log has something to replay');
  const log = { offset: header.u64(72), length: BigInt(header.u32(68)) };
  const regions = regionsOf(await readAt(3 * kib64, kib64));
  const [bat, metadata] = [regions.get(batGuid), regions.get(metadataGuid)];
  if (!bat || !metadata) throw new Refusal('vhdx-regions', 'vhdx: the region table names no block table or no metadata');
  judgePlaces([log, bat, metadata], BigInt(fileBytes));
  const facts = readVhdxMetadata(await readAt(Number(metadata.offset), Math.min(Number(metadata.length), maxMetadataBytes)));
  if (facts.tableEntries * 8n > bat.length) throw new Refusal('vhdx-regions', 'vhdx: the block table does not fit the disk');
  return facts.virtualSizeBytes;
}

/** Of the two headers the one that is whole and was written last. */
function currentHeader(...copies: readonly Uint8Array[]): LittleEndian {
  const whole = copies.filter((bytes) => bytes.length === headerBytes && isWhole(bytes, 'head')).map(littleEndian);
  const [current] = whole.toSorted((a, b) => Number(b.u64(8) > a.u64(8)) - Number(b.u64(8) < a.u64(8)));
  if (!current) throw new Refusal('vhdx-header', 'vhdx: neither of its headers is whole');
  return current;
}

function regionsOf(bytes: Uint8Array): ReadonlyMap<string, Place> {
  if (bytes.length < kib64 || !isWhole(bytes, 'regi')) throw new Refusal('vhdx-regions', 'vhdx: its region table is not whole');
  const table = littleEndian(bytes);
  const count = table.u32(8);
  if (count > maxRegions) throw new Refusal('vhdx-regions', `vhdx: there are more than ${maxRegions} regions`);
  const regions = new Map<string, Place>();
  for (let at = 16; at < 16 + count * 32; at += 32) {
    const guid = table.hex(at, 16);
    const isRequired = (table.u32(at + 28) & 1) === 1;
    if (guid !== batGuid && guid !== metadataGuid) {
      if (isRequired) throw new Refusal('unknown-feature', 'vhdx: it has a region that is not known');
      continue;
    }
    if (regions.has(guid)) throw new Refusal('vhdx-regions', 'vhdx: it has a region twice');
    regions.set(guid, { offset: table.u64(at + 16), length: BigInt(table.u32(at + 24)) });
  }
  return regions;
}

function judgePlaces(places: readonly Place[], fileBytes: bigint): void {
  const unit = BigInt(mib);
  const isOdd = places.some(
    ({ offset, length }) => offset < unit || offset % unit !== 0n || length === 0n || length % unit !== 0n || offset + length > fileBytes,
  );
  if (isOdd) throw new Refusal('vhdx-regions', 'vhdx: its log, block table or metadata lies outside the file, or on no whole MiB');
  const ordered = places.toSorted((a, b) => Number(a.offset > b.offset) - Number(a.offset < b.offset));
  const overlaps = ordered.some(({ offset }, index) => {
    const before = ordered[index - 1];
    return before !== undefined && before.offset + before.length > offset;
  });
  if (overlaps) throw new Refusal('tables-overlap', 'vhdx: its log, block table and metadata overlap');
}

/** True for a structure with its signature and a right checksum, which is made over the whole with its own field zero. */
function isWhole(bytes: Uint8Array, signature: string): boolean {
  const copy = Buffer.from(bytes);
  const told = copy.readUInt32LE(4);
  copy.fill(0, 4, 8);
  return copy.toString('latin1', 0, 4) === signature && crc32c(copy) === told;
}
