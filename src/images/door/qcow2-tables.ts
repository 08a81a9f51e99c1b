import { Refusal } from '../failures.ts';

/** A table of a qcow2 disk whose entries lead to clusters: the L1 table (to L2 tables) or the refcount table (to refcount blocks). */
export interface TablePlace {
  readonly name: 'l1-table' | 'refcount-table';
  /** Where it lies in the file and how long it is, bytes. */
  readonly offset: number;
  readonly length: number;
}

/** Judges entries as they come, chunk after chunk. */
export interface EntryJudge {
  /** Judges the entries of `table` in `chunk`, whose length is a multiple of 8. Throws `Refusal`. */
  readonly judge: (table: TablePlace, chunk: Uint8Array) => void;
}

const copied = 0x8000_0000; // bit 63 of an L1 entry, as seen in its higher half
const offsetMask = { high: 0x00ff_ffff, low: 0xffff_fe00 } as const; // bits 9 to 55

/**
 * Every L2 table and refcount block of a disk without snapshots lies in a whole cluster of its own, inside the file, and in no other table.
 * An entry that says otherwise stands for a disk that is damaged, or that a small file makes look like a huge one. Keeps one bit for each
 * cluster of the file. Source: QEMU's docs/interop/qcow2.txt, "Two-level cluster mapping" and "Host cluster management".
 */
export function makeEntryJudge(fileBytes: number, clusterBytes: number, tables: readonly TablePlace[]): EntryJudge {
  const clusters = Math.ceil(fileBytes / clusterBytes);
  const taken = new Uint8Array(Math.ceil(clusters / 8));
  const take = (cluster: number): boolean => {
    const bit = 1 << (cluster % 8);
    const at = Math.floor(cluster / 8);
    const before = taken[at] ?? 0;
    taken[at] = before | bit;
    return (before & bit) === 0;
  };
  take(0);
  for (const { offset, length } of tables) {
    const first = offset / clusterBytes;
    for (let cluster = first; cluster < first + Math.ceil(length / clusterBytes); cluster += 1) {
      if (!take(cluster)) throw new Refusal('tables-overlap', 'qcow2: the L1 table and the refcount table overlap');
    }
  }

  function judgeEntry(name: TablePlace['name'], high: number, low: number): void {
    const flag = name === 'l1-table' ? copied : 0;
    const isReserved = (high & ~(flag | offsetMask.high)) !== 0 || (low & ~offsetMask.low) !== 0;
    if (isReserved) throw refusal(name, 'has reserved bits in an entry');
    const offset = (high & offsetMask.high) * 2 ** 32 + low;
    if (offset === 0) return;
    if (offset % clusterBytes !== 0) throw refusal(name, 'has an entry that leads to no beginning of a cluster');
    if (offset >= fileBytes) throw refusal(name, 'has an entry that leads out of the file');
    if (!take(offset / clusterBytes)) throw refusal(name, 'has an entry that leads to a cluster in use');
  }

  return {
    judge: ({ name }, chunk) => {
      const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      for (let at = 0; at + 8 <= chunk.length; at += 8) judgeEntry(name, view.getUint32(at), view.getUint32(at + 4));
    },
  };
}

function refusal(name: TablePlace['name'], says: string): Refusal {
  return new Refusal(name, `qcow2: the ${name === 'l1-table' ? 'L1' : 'refcount'} table ${says}`);
}
