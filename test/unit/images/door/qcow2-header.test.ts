import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Refusal } from '../../../../src/images/failures.ts';
import { parseQcow2Header } from '../../../../src/images/door/qcow2-header.ts';
import { syntheticFileBytes, syntheticHeader, withExtensions, withFields } from '../../../lib/qcow2.ts';

const limits = { fileBytes: syntheticFileBytes, maxVirtualBytes: 2 ** 40 };

function ruleOf(bytes: Uint8Array, over: Partial<typeof limits> = {}): string {
  try {
    parseQcow2Header(bytes, { ...limits, ...over });
    return 'passed';
  } catch (error) {
    if (error instanceof Refusal) return error.rule;
    throw error;
  }
}

test('a sound header is read', () => {
  expect(parseQcow2Header(syntheticHeader(), limits)).toEqual({
    version: 3,
    virtualSizeBytes: 16 * 2 ** 20,
    clusterBytes: 65_536,
    l1Table: { name: 'l1-table', offset: 0x30000, length: 8 },
    refcountTable: { name: 'refcount-table', offset: 0x10000, length: 0x10000 },
  });
  expect(parseQcow2Header(syntheticHeader({ version: 2, refcountOrder: 0, headerLength: 0 }), limits).version).toBe(2);
});

describe('headers that the door lets pass', () => {
  test.each<[string, Buffer]>([
    ['lazy refcounts', syntheticHeader({ compatible: 1 })],
    ['unknown compatible and autoclear bits', syntheticHeader({ compatible: 0xf0, autoclear: 0xf0 })],
    ['zstd', zstd()],
    ['extended L2 entries', syntheticHeader({ incompatible: 16n })],
    ['header of 104 bytes', syntheticHeader({ headerLength: 104 })],
    ['longer header, all zero', syntheticHeader({ headerLength: 128 })],
    ['L1 table larger than the disk needs, as after a shrink', syntheticHeader({ l1Size: 100 })],
    ['feature name table', withExtensions(syntheticHeader(), [{ type: 0x6803f857, data: Buffer.alloc(96) }])],
    ['unknown extension, well-formed', withExtensions(syntheticHeader(), [{ type: 0x12345678, data: 'hello' }])],
  ])('%s', (_name, header) => {
    expect(ruleOf(header)).toBe('passed');
  });
});

describe('headers that the door refuses, by the rule that they break', () => {
  test.each<[string, Buffer, string]>([
    ['empty file', Buffer.alloc(0), 'magic'],
    ['text', Buffer.from('<html>not found</html>'), 'magic'],
    ['zeros', Buffer.alloc(65_536), 'magic'],
    ['magic alone', syntheticHeader().subarray(0, 4), 'truncated'],
    ['half a header', syntheticHeader().subarray(0, 71), 'truncated'],
    ['version 3 without its fields', syntheticHeader().subarray(0, 100), 'truncated'],
    ['half a cluster', syntheticHeader().subarray(0, 32_768), 'truncated'],
    ['version 1', syntheticHeader({ version: 1 }), 'version'],
    ['version 99', syntheticHeader({ version: 99 }), 'version'],
    ['clusters of 256 bytes', syntheticHeader({ clusterBits: 8 }), 'cluster-size'],
    ['clusters of 4 MiB', syntheticHeader({ clusterBits: 22 }), 'cluster-size'],
    ['clusters of 2^(2^32-1)', syntheticHeader({ clusterBits: 0xffffffff }), 'cluster-size'],
    ['backing file', syntheticHeader({ backingOffset: 512, backingSize: 11 }), 'backing-file'],
    ['backing file without a length', syntheticHeader({ backingOffset: 512 }), 'backing-file'],
    ['length of a backing file alone', syntheticHeader({ backingSize: 1023 }), 'backing-file'],
    ['AES', syntheticHeader({ cryptMethod: 1 }), 'encryption'],
    ['LUKS', syntheticHeader({ cryptMethod: 2 }), 'encryption'],
    ['one snapshot', syntheticHeader({ snapshots: 1, snapshotsOffset: 65_536 }), 'internal-snapshots'],
    ['65536 snapshots', syntheticHeader({ snapshots: 65_536 }), 'internal-snapshots'],
    ['2^32-1 snapshots', syntheticHeader({ snapshots: 0xffffffff }), 'internal-snapshots'],
    ['external data file', syntheticHeader({ incompatible: 4 }), 'data-file'],
    ['raw external data file', syntheticHeader({ autoclear: 2 }), 'data-file'],
    ['marked dirty', syntheticHeader({ incompatible: 1 }), 'dirty'],
    ['marked corrupt', syntheticHeader({ incompatible: 2 }), 'corrupt'],
    ['unknown incompatible feature', syntheticHeader({ incompatible: 32 }), 'unknown-feature'],
    ['highest feature bit', syntheticHeader({ incompatible: 1n << 63n }), 'unknown-feature'],
    ['header length 0', syntheticHeader({ headerLength: 0 }), 'header-length'],
    ['header length 108', syntheticHeader({ headerLength: 108 }), 'header-length'],
    ['header longer than a cluster', syntheticHeader({ headerLength: 65_544 }), 'header-length'],
    ['header of 4 GiB', syntheticHeader({ headerLength: 0xfffffff8 }), 'header-length'],
    ['unknown header fields', unknownField(), 'header-length'],
    ['padding that is not zero', padding(), 'header-length'],
    ['compression bit without a type', syntheticHeader({ incompatible: 8 }), 'compression-type'],
    ['compression type without the bit', compressionType(1, 0), 'compression-type'],
    ['unknown compression type', compressionType(7, 8), 'compression-type'],
    ['extended L2 in small clusters', syntheticHeader({ incompatible: 16, clusterBits: 12 }), 'extended-l2'],
    ['refcount order 7', syntheticHeader({ refcountOrder: 7 }), 'refcount-order'],
    ['refcount order 2^32-1', syntheticHeader({ refcountOrder: 0xffffffff }), 'refcount-order'],
    ['disk of 0 bytes', syntheticHeader({ size: 0 }), 'virtual-size'],
    ['disk of 513 bytes', syntheticHeader({ size: 513 }), 'virtual-size'],
    ['disk of 100 TiB', syntheticHeader({ size: 100n << 40n }), 'virtual-size'],
    ['disk of 8 EiB', syntheticHeader({ size: 1n << 63n }), 'virtual-size'],
    ['disk of -512 bytes', syntheticHeader({ size: -512n }), 'virtual-size'],
    ['no L1 table', syntheticHeader({ l1Size: 0 }), 'l1-table'],
    ['L1 table too small for the disk', syntheticHeader({ size: 1n << 39n, l1Size: 1 }), 'l1-table'],
    ['L1 table of 2^32-1 entries', syntheticHeader({ l1Size: 0xffffffff }), 'l1-table'],
    ['L1 table at 0', syntheticHeader({ l1Offset: 0 }), 'l1-table'],
    ['L1 table not on a cluster', syntheticHeader({ l1Offset: 0x30008 }), 'l1-table'],
    ['L1 table after the end', syntheticHeader({ l1Offset: 0x40000 }), 'l1-table'],
    ['L1 table at the end of 64 bits', syntheticHeader({ l1Offset: 0xffffffffffff0000n }), 'l1-table'],
    ['no refcount table', syntheticHeader({ refcountClusters: 0 }), 'refcount-table'],
    ['refcount table of 2^32-1 clusters', syntheticHeader({ refcountClusters: 0xffffffff }), 'refcount-table'],
    ['refcount table in the header', syntheticHeader({ refcountOffset: 0 }), 'refcount-table'],
    ['refcount table after the end', syntheticHeader({ refcountOffset: 1n << 40n }), 'refcount-table'],
    ['format of a backing file', withExtensions(syntheticHeader(), [{ type: 0xe2792aca, data: 'raw' }]), 'backing-file'],
    ['name of a data file', withExtensions(syntheticHeader(), [{ type: 0x44415441, data: '/etc/shadow' }]), 'data-file'],
    ['LUKS header', withExtensions(syntheticHeader(), [{ type: 0x0537be77, data: Buffer.alloc(16) }]), 'encryption'],
    ['bitmaps', withExtensions(syntheticHeader(), [{ type: 0x23852875, data: Buffer.alloc(24) }]), 'bitmaps'],
    [
      'refused extension behind another',
      withExtensions(syntheticHeader(), [
        { type: 9, data: 'x' },
        { type: 0x44415441, data: '/x' },
      ]),
      'data-file',
    ],
    ['extension longer than its cluster', withExtensions(syntheticHeader(), [{ type: 9, data: 'x', length: 0x10000 }]), 'header-extension'],
    ['extension of 4 GiB', withExtensions(syntheticHeader(), [{ type: 9, data: 'x', length: 0xffffffff }]), 'header-extension'],
    ['odd feature name table', withExtensions(syntheticHeader(), [{ type: 0x6803f857, data: 'x' }]), 'header-extension'],
    [
      '65 extensions',
      withExtensions(
        syntheticHeader(),
        Array.from({ length: 65 }, () => ({ type: 9, data: '' })),
      ),
      'header-extension',
    ],
    ['extensions without an end', endless(), 'header-extension'],
  ])('%s: %s', (_name, header, rule) => {
    expect(ruleOf(header)).toBe(rule);
  });
});

test('an L1 table may be larger than the disk needs, by as much as one of a disk that was shrunk', () => {
  const large = (l1Size: number): string => ruleOf(syntheticHeader({ l1Size }), { fileBytes: 2 ** 24 });
  expect(large(1 + 65_536)).toBe('passed');
  expect(large(1 + 65_537)).toBe('l1-table');
});

test('the limit on the disk’s size is the configuration’s', () => {
  expect(ruleOf(syntheticHeader(), { maxVirtualBytes: 16 * 2 ** 20 })).toBe('passed');
  expect(ruleOf(syntheticHeader(), { maxVirtualBytes: 16 * 2 ** 20 - 1 })).toBe('virtual-size');
});

describe('no bytes crash or stall it', () => {
  test('random ones', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => {
        expect(ruleOf(bytes)).toBe('magic');
      }),
      { numRuns: 1000 },
    );
  });

  test('random ones behind the magic number and a version', () => {
    fc.assert(
      fc.property(fc.constantFrom(2, 3), fc.uint8Array({ minLength: 104, maxLength: 2048 }), (version, bytes) => {
        const header = Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.from([0, 0, 0, version]), bytes]);
        expect(ruleOf(header)).not.toBe('magic');
      }),
      { numRuns: 2000 },
    );
  });

  test('sound headers with bytes changed: what passes still has nothing outside itself', () => {
    const edit = fc.record({ at: fc.nat(200), value: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
        const header = syntheticHeader();
        for (const { at, value } of edits) header[at] = value;
        if (ruleOf(header) !== 'passed') return;
        expect(header.readBigUInt64BE(8)).toBe(0n);
        expect(header.readUInt32BE(32)).toBe(0);
        expect(header.readUInt32BE(60)).toBe(0);
        expect(header.readUInt32BE(4) === 3 ? header.readBigUInt64BE(72) & ~0x18n : 0n).toBe(0n);
      }),
      { numRuns: 5000 },
    );
  });

  test('random chains of extensions', () => {
    const extension = fc.record({
      type: fc.nat(0xffffffff),
      data: fc.uint8Array({ maxLength: 64 }),
      length: fc.option(fc.nat(0xffffffff)),
    });
    fc.assert(
      fc.property(fc.array(extension, { maxLength: 80 }), (chain) => {
        const extensions = chain.map(({ type, data, length }) => ({
          type,
          data: Buffer.from(data),
          ...(length === null ? {} : { length }),
        }));
        expect(typeof ruleOf(withExtensions(syntheticHeader(), extensions))).toBe('string');
      }),
    );
  });
});

function compressionType(type: number, incompatible: number): Buffer {
  const header = syntheticHeader({ incompatible });
  header[104] = type;
  return header;
}

function zstd(): Buffer {
  return compressionType(1, 8);
}

function unknownField(): Buffer {
  const header = syntheticHeader({ headerLength: 120 });
  header[119] = 1;
  return header;
}

function padding(): Buffer {
  const header = syntheticHeader();
  header[111] = 1;
  return header;
}

function endless(): Buffer {
  const header = withFields(syntheticHeader(), {});
  header.writeUInt32BE(9, 112);
  header.writeUInt32BE(65_536 - 112 - 8, 116);
  return header;
}
