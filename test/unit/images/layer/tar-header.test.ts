import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTarHeader } from '../../../../src/images/layer/tar-header.ts';
import { expectReadOrRefused, expectRefusal } from '../../../lib/refusal.ts';
import { base256, tarHeader, type TarEntry } from '../../../lib/tar.ts';

const parse = (entry: TarEntry) => parseTarHeader(tarHeader(entry));

describe('a header that can be read', () => {
  test.each(['ustar', 'gnu', 'v7'] as const)('of %s', (format) => {
    expect(parse({ name: 'disk/a', size: 1_000, format })).toEqual({
      name: 'disk/a',
      kind: 'file',
      says: 'a regular file',
      sizeBytes: 1_000,
    });
  });

  test('with a prefix before its name, in POSIX only', () => {
    expect(parse({ name: 'a', prefix: 'disk' })?.name).toBe('disk/a');
    expect(parse({ name: 'a', prefix: 'disk', format: 'gnu' })?.name).toBe('a');
  });

  test('with a name that fills its field', () => {
    expect(parse({ name: 'n'.repeat(100) })?.name).toBe('n'.repeat(100));
  });

  test('with a size in base 256, with spaces, of eleven and of twelve digits, or none', () => {
    expect(parse({ name: 'a', size: base256(2n ** 40n) })?.sizeBytes).toBe(2 ** 40);
    expect(parse({ name: 'a', size: '      17 \0' })?.sizeBytes).toBe(15);
    expect(parse({ name: 'a', size: '77777777777\0' })?.sizeBytes).toBe(2 ** 33 - 1);
    expect(parse({ name: 'a', size: '777777777777' })?.sizeBytes).toBe(2 ** 36 - 1);
    expect(parse({ name: 'a', size: '' })?.sizeBytes).toBe(0);
  });

  test.each([
    ['1', 'other', 'a hard link'],
    ['2', 'other', 'a symbolic link'],
    ['3', 'other', 'a character device'],
    ['4', 'other', 'a block device'],
    ['5', 'directory', 'a directory'],
    ['6', 'other', 'a fifo'],
    ['S', 'other', 'a sparse file'],
    ['\0', 'file', 'a regular file'],
    ['Z', 'other', 'a member of the unknown type "Z"'],
    ['\u0007', 'other', 'a member of the unknown type "?"'],
  ])('of type %j', (type, kind, says) => {
    expect(parse({ name: 'a', type })).toMatchObject({ kind, says });
  });

  test('of zeros, which ends an archive', () => {
    expect(parseTarHeader(Buffer.alloc(512))).toBeUndefined();
  });
});

describe('a header that is refused', () => {
  test('with a wrong checksum', () => {
    expectRefusal(() => parse({ name: 'a', checksumOff: 1 }), 'tar-header', /checksum/);
    expectRefusal(() => parseTarHeader(Buffer.from('QFI\xfb'.padEnd(512, 'x'), 'latin1')), 'tar-header', /checksum/);
    expectRefusal(() => parseTarHeader(Buffer.concat([Buffer.alloc(511), Buffer.of(1)])), 'tar-header', /checksum/);
  });

  test('with a size that is no number, negative or impossible', () => {
    expectRefusal(() => parse({ name: 'a', size: '12x4567\0' }), 'tar-header', /size/);
    expectRefusal(() => parse({ name: 'a', size: '12 4567\0' }), 'tar-header', /size/);
    expectRefusal(() => parse({ name: 'a', size: '-0000000001' }), 'tar-header', /size/);
    expectRefusal(() => parse({ name: 'a', size: base256(-1n) }), 'tar-header', /negative/);
    expectRefusal(() => parse({ name: 'a', size: base256(2n ** 63n - 1n) }), 'disk-size', /"a" claims an impossible size/);
    expectRefusal(() => parse({ name: 'a', size: `\u00bf${'\u00ff'.repeat(11)}` }), 'disk-size', /impossible/);
  });

  test('of no format that is known', () => {
    const block = tarHeader({ name: 'a' });
    block.write('ustaR', 257);
    block.write(' '.repeat(8), 148);
    block.write(
      block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(7, '0'),
      148,
    );
    expectRefusal(() => parseTarHeader(block), 'tar-header', /neither POSIX, GNU nor V7/);
  });
});

test('any block is read or refused', () => {
  const random = fc.uint8Array({ minLength: 512, maxLength: 512 });
  const damaged = fc
    .tuple(fc.constantFrom('ustar', 'gnu', 'v7'), fc.array(fc.tuple(fc.nat(511), fc.nat(255)), { maxLength: 6 }))
    .map(([format, changes]) => {
      const block = tarHeader({ name: 'disk/a', size: 7, format });
      for (const [at, byte] of changes) block[at] = byte;
      return block;
    });
  fc.assert(
    fc.property(fc.oneof(random, damaged), (block) => {
      expectReadOrRefused(() => parseTarHeader(block));
    }),
    { numRuns: 2_000 },
  );
});
