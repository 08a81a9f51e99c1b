import assert from 'node:assert/strict';
import { readForeignHeader, type ForeignFormat } from '../../src/images/door/foreign-header.ts';
import { parseQcow2Header } from '../../src/images/door/qcow2-header.ts';
import { makeEntryJudge } from '../../src/images/door/qcow2-tables.ts';
import { judgeInfo } from '../../src/images/door/qemu-report.ts';
import { resealVhdx, syntheticForeign, vmdkWithFooter } from '../lib/foreign-headers.ts';
import { syntheticFileBytes, syntheticHeader, withExtensions } from '../lib/qcow2.ts';
import { readSparse, type SparseFile } from '../lib/sparse-file.ts';
import type { FuzzTarget } from './target.ts';

const maxVirtualBytes = 2 ** 40;

const report = JSON.stringify({
  'virtual-size': 16 * 2 ** 20,
  format: 'qcow2',
  'format-specific': { type: 'qcow2', data: { corrupt: false, bitmaps: [], 'data-file': null } },
  'dirty-flag': false,
  snapshots: [],
});

/** The readers of the door. */
export const doorTargets: readonly FuzzTarget[] = [
  {
    name: 'qcow2 header and extensions',
    seeds: [
      () => syntheticHeader(),
      () => syntheticHeader({ version: 2 }),
      () => syntheticHeader({ incompatible: 16, compatible: 1 }),
      () => syntheticHeader({ clusterBits: 9, l1Size: 512, l1Offset: 0x3000, refcountOffset: 0x1000 }),
      () => withExtensions(syntheticHeader(), [{ type: 0x6803f857, data: Buffer.alloc(96) }]),
      () =>
        withExtensions(
          syntheticHeader({ headerLength: 112 }),
          [9, 10, 11].map((type) => ({ type, data: 'some data' })),
        ),
    ],
    read: (bytes) => {
      const header = parseQcow2Header(bytes, { fileBytes: syntheticFileBytes, maxVirtualBytes });
      assert.equal(bytes.readBigUInt64BE(8), 0n, 'a backing file');
      assert.equal(bytes.readUInt32BE(16), 0, 'the length of a backing file');
      assert.equal(bytes.readUInt32BE(32), 0, 'encryption');
      assert.equal(bytes.readUInt32BE(60), 0, 'snapshots');
      assert.equal(header.version === 3 ? bytes.readBigUInt64BE(72) & ~0x18n : 0n, 0n, 'features');
      for (const { offset, length } of [header.l1Table, header.refcountTable]) {
        assert.ok(offset >= header.clusterBytes && offset + length <= syntheticFileBytes + header.clusterBytes, 'a table outside the file');
      }
      assert.ok(header.virtualSizeBytes > 0 && header.virtualSizeBytes <= maxVirtualBytes, 'a size beyond the limit');
    },
  },
  {
    name: 'qcow2 tables',
    seeds: [
      () => {
        const entries = Buffer.alloc(128);
        [5, 6, 0, 7].forEach((cluster, index) => entries.writeBigUInt64BE((1n << 63n) | BigInt(cluster * 65_536), index * 8));
        return entries;
      },
    ],
    read: (entries) => {
      const l1 = { name: 'l1-table', offset: 3 * 65_536, length: entries.length } as const;
      makeEntryJudge(16 * 65_536, 65_536, [l1]).judge(l1, entries);
      const used = Array.from({ length: entries.length / 8 }, (_, index) => entries.readBigUInt64BE(index * 8) & ~(1n << 63n));
      const leads = used.filter((entry) => entry !== 0n);
      assert.ok(leads.every((entry) => entry % 65_536n === 0n && entry / 65_536n < 16n && entry !== 3n * 65_536n));
      assert.equal(new Set(leads).size, leads.length, 'a cluster twice');
    },
  },
  ...(['vmdk', 'vdi', 'vhdx'] as const).map((format) => foreignTarget(format, [syntheticForeign[format]])),
  foreignTarget('vmdk', [vmdkWithFooter], 'vmdk with a footer'),
  {
    name: 'report of qemu-img info',
    seeds: [() => Buffer.from(report)],
    read: (bytes) => judgeInfo(bytes.toString('utf8'), 16 * 2 ** 20),
  },
];

/** The parts of a file stand one behind the other in the input. Checksums are made right again in three of four inputs. */
function foreignTarget(format: ForeignFormat, files: readonly (() => SparseFile)[], name: string = format): FuzzTarget {
  const layout = files.map((make) => make());
  return {
    name,
    seeds: layout.map(
      ({ parts }) =>
        () =>
          Buffer.concat(parts.map((part) => part.bytes)),
    ),
    read: async (bytes) => {
      const template = layout.find(({ parts }) => parts.reduce((sum, part) => sum + part.bytes.length, 0) === bytes.length) ?? layout[0];
      if (template === undefined) throw new Error('there is no layout');
      let from = 0;
      const parts = template.parts.map(({ at, bytes: { length } }) => {
        from += length;
        return { at, bytes: bytes.subarray(from - length, from) };
      });
      const file = { fileBytes: template.fileBytes, parts };
      if ((bytes.at(-1) ?? 0) % 4 !== 3) resealVhdx(file);
      const { virtualSizeBytes } = await readForeignHeader(format, readSparse(file), { fileBytes: file.fileBytes, maxVirtualBytes });
      assert.ok(virtualSizeBytes > 0 && virtualSizeBytes <= maxVirtualBytes && virtualSizeBytes % 512 === 0, 'a size beyond the limit');
      assert.ok(format !== 'vmdk' || !/parentFileNameHint/i.test(bytes.toString('latin1', 512, 512 + 10_240)), 'a parent');
    },
  };
}
