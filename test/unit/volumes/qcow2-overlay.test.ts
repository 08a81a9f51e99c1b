import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeOverlay, maxOverlayBytes } from '../../../src/volumes/qcow2-overlay.ts';

const base = { backingPath: '/images/base', backingFormat: 'qcow2' } as const;

describe('the header of an overlay', () => {
  test('names its backing file and format where the header says', () => {
    const { head } = encodeOverlay({ ...base, backingPath: '/images/bäse: 1', sizeBytes: 2 ** 30 });
    const offset = Number(head.readBigUInt64BE(8));
    expect(head.subarray(offset, offset + head.readUInt32BE(16)).toString()).toBe('/images/bäse: 1');
    expect(head.subarray(120, 125).toString()).toBe('qcow2');
    expect(head.readBigUInt64BE(24)).toBe(BigInt(2 ** 30));
  });

  test('the L1 table covers the disk and each cluster is counted once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: maxOverlayBytes / 512 }), (sectors) => {
        const { head, fileBytes } = encodeOverlay({ ...base, sizeBytes: sectors * 512 });
        const l1Entries = head.readUInt32BE(36);
        const covered = l1Entries * 2 ** 29;
        const counts = Array.from({ length: 32_768 }, (_, index) => head.readUInt16BE(0x20000 + index * 2));
        expect(covered).toBeGreaterThanOrEqual(sectors * 512);
        expect(covered - sectors * 512).toBeLessThan(2 ** 29);
        expect(fileBytes).toBe(0x30000 + Math.ceil((l1Entries * 8) / 65_536) * 65_536);
        expect(counts.filter((count) => count === 1)).toHaveLength(fileBytes / 65_536);
        expect(counts.filter((count) => count > 1)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});
