import { Refusal } from '../failures.ts';
import { walkExtensions } from './qcow2-extensions.ts';
import type { TablePlace } from './qcow2-tables.ts';

/** How many of a file's first bytes `parseQcow2Header` needs: the largest cluster, since all that it reads lies in the first one. */
export const qcow2HeaderBytes = 2 ** 21;

/** What the header of an acceptable qcow2 disk says. */
export interface Qcow2Header {
  readonly version: number;
  readonly virtualSizeBytes: number;
  readonly clusterBytes: number;
  readonly l1Table: TablePlace;
  readonly refcountTable: TablePlace;
}

/** Sizes that a header is judged by, in bytes. */
export interface Qcow2Limits {
  /** Size of the whole file. */
  readonly fileBytes: number;
  /** Largest disk that a guest may see. */
  readonly maxVirtualBytes: number;
}

interface Fields {
  readonly version: number;
  readonly backingOffset: bigint;
  readonly backingSize: number;
  readonly clusterBits: number;
  readonly size: bigint;
  readonly cryptMethod: number;
  readonly l1Size: number;
  readonly l1Offset: bigint;
  readonly refcountOffset: bigint;
  readonly refcountClusters: number;
  readonly snapshots: number;
  readonly incompatible: bigint;
  readonly autoclear: bigint;
  readonly refcountOrder: number;
  readonly headerLength: number;
  readonly compressionType: number;
}

interface Rule {
  readonly name: string;
  readonly says: string;
  readonly holds: (fields: Fields, limits: Qcow2Limits) => boolean;
}

const headerBytesV2 = 72;
const headerBytesV3 = 104;
const headerBytesKnown = 112;
const headerFieldsEnd = 105; // the compression type is the last field known; what follows is padding
const maxL1Entries = 2 ** 22; // QEMU's QCOW_MAX_L1_SIZE, 32 MiB
const spareL1Entries = 2n ** 16n; // a disk that was shrunk keeps its table; more is memory of each VM for nothing
const maxRefcountTableBytes = 2 ** 23; // QEMU's QCOW_MAX_REFTABLE_SIZE
const incompatible = { dirty: 0n, corrupt: 1n, dataFile: 2n, compressionType: 3n, extendedL2: 4n } as const;
const autoclearRawDataFile = 1n;

const has = (bits: bigint, bit: bigint): boolean => ((bits >> bit) & 1n) === 1n;
const clusterOf = (h: Fields): bigint => 1n << BigInt(h.clusterBits);
const compressed = (h: Fields): boolean => has(h.incompatible, incompatible.compressionType);

/** In order: the first that does not hold is the one that the user is told. Source: QEMU's docs/interop/qcow2.txt. */
const rules: readonly Rule[] = [
  { name: 'cluster-size', says: 'the cluster size must be 512 bytes to 2 MiB', holds: (h) => h.clusterBits >= 9 && h.clusterBits <= 21 },
  {
    name: 'backing-file',
    says: 'it has a backing file; flatten it with qemu-img convert -O qcow2',
    holds: (h) => h.backingOffset === 0n && h.backingSize === 0,
  },
  { name: 'encryption', says: 'it is encrypted', holds: (h) => h.cryptMethod === 0 },
  {
    name: 'internal-snapshots',
    says: 'it has internal snapshots; drop them with qemu-img convert -O qcow2',
    holds: (h) => h.snapshots === 0,
  },
  {
    name: 'data-file',
    says: 'its data is in another file',
    holds: (h) => !has(h.incompatible, incompatible.dataFile) && !has(h.autoclear, autoclearRawDataFile),
  },
  {
    name: 'corrupt',
    says: 'it is marked as corrupt; repair it with qemu-img check -r all',
    holds: (h) => !has(h.incompatible, incompatible.corrupt),
  },
  {
    name: 'dirty',
    says: 'it was not closed properly; repair it with qemu-img check -r all',
    holds: (h) => !has(h.incompatible, incompatible.dirty),
  },
  { name: 'unknown-feature', says: 'it uses a feature that is not known', holds: (h) => h.incompatible >> 5n === 0n },
  {
    name: 'header-length',
    says: 'the header length is impossible',
    holds: (h) =>
      h.version === 2 || (h.headerLength >= headerBytesV3 && h.headerLength % 8 === 0 && BigInt(h.headerLength) <= clusterOf(h)),
  },
  {
    name: 'compression-type',
    says: 'the compression type contradicts the feature bits or is not known',
    holds: (h) => (compressed(h) ? h.compressionType === 1 : h.compressionType === 0),
  },
  {
    name: 'extended-l2',
    says: 'extended L2 entries need clusters of at least 16 KiB',
    holds: (h) => !has(h.incompatible, incompatible.extendedL2) || h.clusterBits >= 14,
  },
  { name: 'refcount-order', says: 'the refcount order must be 0 to 6', holds: (h) => h.refcountOrder <= 6 },
  { name: 'virtual-size', says: 'the disk must have whole sectors and at least one', holds: (h) => h.size > 0n && h.size % 512n === 0n },
  {
    name: 'virtual-size',
    says: 'the disk is larger than images.maxVirtualSize allows',
    holds: (h, { maxVirtualBytes }) => h.size <= BigInt(maxVirtualBytes),
  },
  {
    name: 'l1-table',
    says: 'the L1 table does not fit the disk',
    holds: (h) => h.l1Size <= maxL1Entries && BigInt(h.l1Size) >= l1EntriesNeeded(h),
  },
  {
    name: 'l1-table',
    says: 'the L1 table is far larger than the disk needs',
    holds: (h) => BigInt(h.l1Size) <= l1EntriesNeeded(h) + spareL1Entries,
  },
  {
    name: 'l1-table',
    says: 'the L1 table lies outside the file',
    holds: (h, { fileBytes }) => liesInside(h, h.l1Offset, BigInt(h.l1Size) * 8n, fileBytes),
  },
  {
    name: 'refcount-table',
    says: 'the refcount table has an impossible size',
    holds: (h) => h.refcountClusters > 0 && BigInt(h.refcountClusters) * clusterOf(h) <= maxRefcountTableBytes,
  },
  {
    name: 'refcount-table',
    says: 'the refcount table lies outside the file',
    holds: (h, { fileBytes }) => liesInside(h, h.refcountOffset, BigInt(h.refcountClusters) * clusterOf(h), fileBytes),
  },
];

/**
 * Judges a disk by its header, before any other program reads it. `bytes` is the file's beginning, up to `qcow2HeaderBytes`. Throws `Refusal`
 * with the rule that does not hold; works in time linear in `bytes` whatever they are.
 */
export function parseQcow2Header(bytes: Uint8Array, limits: Qcow2Limits): Qcow2Header {
  const fields = readFields(bytes);
  for (const rule of rules) {
    if (!rule.holds(fields, limits)) throw new Refusal(rule.name, `qcow2: ${rule.says}`);
  }
  const clusterBytes = 2 ** fields.clusterBits;
  if (bytes.length < clusterBytes) throw new Refusal('truncated', 'qcow2: the file ends within its first cluster');
  const unknownFields = bytes.subarray(headerFieldsEnd, Math.max(fields.headerLength, headerFieldsEnd));
  if (unknownFields.some((byte) => byte !== 0)) throw new Refusal('header-length', 'qcow2: the header has fields that are not known');
  walkExtensions(bytes.subarray(fields.headerLength, clusterBytes));
  return {
    version: fields.version,
    virtualSizeBytes: Number(fields.size),
    clusterBytes,
    l1Table: { name: 'l1-table', offset: Number(fields.l1Offset), length: fields.l1Size * 8 },
    refcountTable: { name: 'refcount-table', offset: Number(fields.refcountOffset), length: fields.refcountClusters * clusterBytes },
  };
}

/** True for a file that begins with qcow2's magic number. */
export function hasQcow2Magic(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x51 && bytes[1] === 0x46 && bytes[2] === 0x49 && bytes[3] === 0xfb;
}

function readFields(bytes: Uint8Array): Fields {
  if (!hasQcow2Magic(bytes)) throw new Refusal('magic', 'it is no qcow2 disk (the format is named in images.sources, never guessed)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytesV2) throw new Refusal('truncated', 'qcow2: the file ends within its header');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw new Refusal('version', 'qcow2: the version must be 2 or 3');
  if (version === 3 && bytes.length < headerBytesKnown) throw new Refusal('truncated', 'qcow2: the file ends within its header');
  const headerLength = version === 3 ? view.getUint32(100) : headerBytesV2;
  return {
    version,
    backingOffset: view.getBigUint64(8),
    backingSize: view.getUint32(16),
    clusterBits: view.getUint32(20),
    size: view.getBigUint64(24),
    cryptMethod: view.getUint32(32),
    l1Size: view.getUint32(36),
    l1Offset: view.getBigUint64(40),
    refcountOffset: view.getBigUint64(48),
    refcountClusters: view.getUint32(56),
    snapshots: view.getUint32(60),
    incompatible: version === 3 ? view.getBigUint64(72) : 0n,
    autoclear: version === 3 ? view.getBigUint64(88) : 0n,
    refcountOrder: version === 3 ? view.getUint32(96) : 4,
    headerLength,
    compressionType: headerLength > headerBytesV3 ? view.getUint8(104) : 0,
  };
}

function l1EntriesNeeded(h: Fields): bigint {
  const entryBytes = has(h.incompatible, incompatible.extendedL2) ? 16n : 8n;
  const bytesPerL2Table = clusterOf(h) * (clusterOf(h) / entryBytes);
  return (h.size + bytesPerL2Table - 1n) / bytesPerL2Table;
}

/** A table begins on a cluster after the header's, and ends before the file does (whose last cluster may be cut short). */
function liesInside(h: Fields, offset: bigint, length: bigint, fileBytes: number): boolean {
  const cluster = clusterOf(h);
  const fileEnd = ((BigInt(fileBytes) + cluster - 1n) / cluster) * cluster;
  return offset >= cluster && offset % cluster === 0n && offset + length <= fileEnd;
}
