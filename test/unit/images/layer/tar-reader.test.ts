import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Refusal } from '../../../../src/images/failures.ts';
import { makeTarReader } from '../../../../src/images/layer/tar-reader.ts';
import { expectRefusal, thrownBy } from '../../../lib/refusal.ts';
import { base256, layerOf, paxEntry, tarEnd, tarHeader, tarMember, tarOf, type TarEntry } from '../../../lib/tar.ts';

const content = Buffer.from('the disk');
const disk: TarEntry = { name: 'disk/disk.img', content };
const directory: TarEntry = { name: 'disk/', type: '5' };

interface Read {
  readonly sizeBytes: number | undefined;
  readonly content: string;
}

/** Reads an archive in pieces of the given sizes, over and over. */
function read(archive: Buffer, { sizes = [archive.length], maxDiskBytes = 2 ** 30 } = {}): Read {
  const reader = makeTarReader({ maxDiskBytes });
  let sizeBytes: number | undefined;
  const parts: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < archive.length; turn += 1) {
    const next = at + Math.max(1, sizes[turn % sizes.length] ?? 1);
    for (const event of reader.push(archive.subarray(at, next))) {
      if (event.kind === 'disk') ({ sizeBytes } = event);
      else parts.push(event.bytes);
    }
    at = next;
  }
  reader.end();
  return { sizeBytes, content: Buffer.concat(parts).toString('latin1') };
}

describe('a layer that is accepted', () => {
  const whole = { sizeBytes: content.length, content: 'the disk' };
  test.each<[string, Buffer]>([
    ['as it usually is', layerOf(content)],
    ['with ./ before its names', tarOf({ name: './', type: '5' }, { name: './disk/', type: '5' }, { ...disk, name: './disk/d' })],
    ['with directories without slash', tarOf({ name: '.', type: '5' }, { name: 'disk', type: '5' }, disk)],
    ['with the file alone', tarOf(disk)],
    ['in GNU format', tarOf({ ...directory, format: 'gnu' }, { ...disk, format: 'gnu' })],
    ['in V7 format', tarOf({ ...directory, format: 'v7' }, { ...disk, format: 'v7', type: '\0' })],
    ['with a name split over two fields', tarOf(directory, { ...disk, name: 'd', prefix: 'disk' })],
    ['with a pax name', tarOf(paxEntry({ path: 'disk/d', mtime: '1.25' }), { ...disk, name: 'elsewhere' })],
    ['with a pax size', tarOf(paxEntry({ size: '8' }), { ...disk, size: 0 })],
    ['with a global header', tarOf(paxEntry({ comment: 'x' }, 'g'), disk)],
    ['with a GNU long name', tarOf({ name: '././@LongLink', type: 'L', content: Buffer.from(`disk/${'n'.repeat(200)}\0`) }, disk)],
    ['with a GNU long link name', tarOf({ name: '././@LongLink', type: 'K', content: Buffer.from('whatever\0') }, disk)],
    ['with a last record filled up', Buffer.concat([layerOf(content), Buffer.alloc(10_240)])],
    ['with the disk before its directory', tarOf(disk, directory)],
  ])('%s', (_, archive) => {
    expect(read(archive)).toEqual(whole);
    expect(read(archive, { sizes: [1] })).toEqual(whole);
    expect(read(archive, { sizes: [511, 1, 513] })).toEqual(whole);
  });

  test('with an empty disk, which is for the door to judge', () => {
    expect(read(layerOf(Buffer.alloc(0)))).toEqual({ sizeBytes: 0, content: '' });
  });

  test('without a disk', () => {
    for (const archive of [tarOf(), tarOf(directory), Buffer.concat([tarOf(), Buffer.alloc(9_216)])]) {
      expect(read(archive)).toEqual({ sizeBytes: undefined, content: '' });
    }
  });
});

const expected = /a containerDisk's layer holds one regular file directly under disk\/ and nothing else$/;

describe('a member that is refused', () => {
  test.each<[string, TarEntry, RegExp]>([
    ['dotdot', { ...disk, name: 'disk/../../etc/passwd' }, /a regular file "disk\/..\/..\/etc\/passwd"/],
    ['dotdot as a name', { ...disk, name: 'disk/..' }, /"disk\/.."/],
    ['abs', { ...disk, name: '/disk/disk.img' }, /"\/disk\/disk.img"/],
    ['elsewhere', { ...disk, name: 'etc/passwd' }, /"etc\/passwd"/],
    ['at the top', { ...disk, name: 'disk.img' }, /"disk.img"/],
    ['a file that is called disk', { ...disk, name: 'disk' }, /"disk"/],
    ['deeper', { ...disk, name: 'disk/sub/disk.img' }, /"disk\/sub\/disk.img"/],
    ['a file with a slash behind', { ...disk, name: 'disk/d/' }, /"disk\/d\/"/],
    ['an empty name', { ...disk, name: '' }, /""/],
    ['directory elsewhere', { name: 'etc/', type: '5' }, /a directory "etc\/"/],
    ['directory below', { name: 'disk/sub/', type: '5' }, /a directory "disk\/sub\/"/],
    ['directory above', { name: '../', type: '5' }, /a directory "..\/"/],
    ['directory with content', { ...directory, content }, /the layer's directory "disk\/" has content/],
    ['symlink', { name: 'disk/disk.img', type: '2', linkName: '/etc/shadow' }, /a symbolic link "disk\/disk.img"/],
    ['symlink-dir', { name: 'disk', type: '2', linkName: '/etc' }, /a symbolic link "disk"/],
    ['hardlink', { name: 'disk/disk.img', type: '1', linkName: '/etc/shadow' }, /a hard link/],
    ['character device', { name: 'disk/disk.img', type: '3' }, /a character device/],
    ['block device', { name: 'disk/disk.img', type: '4' }, /a block device/],
    ['fifo', { name: 'disk/disk.img', type: '6' }, /a fifo/],
    ['contiguous file', { ...disk, type: '7' }, /a contiguous file/],
    ['GNU sparse file', { ...disk, type: 'S', format: 'gnu' }, /a sparse file/],
    ['unknown type', { ...disk, type: 'V' }, /unknown type "V"/],
    ['whiteout', { name: 'disk/.wh.disk.img' }, /".wh|"disk\/.wh.disk.img"/],
    ['opaque whiteout', { name: 'disk/.wh..wh..opq' }, /"disk\/.wh..wh..opq"/],
    ['control characters', { ...disk, name: 'x\n\u001b[31m\u00ff' }, /"x\?\?\[31m\?"/],
  ])('%s', (_, entry, message) => {
    expectRefusal(() => read(tarOf(entry)), 'tar-entry', message);
    expectRefusal(() => read(tarOf(entry)), 'tar-entry', expected);
    expectRefusal(() => read(tarOf(directory, entry), { sizes: [7] }), 'tar-entry', message);
  });

  test('by what an extended header says of it', () => {
    expectRefusal(() => read(tarOf(paxEntry({ path: '../x' }), disk)), 'tar-entry', /"..\/x"/);
    expectRefusal(() => read(tarOf(paxEntry({ 'GNU.sparse.major': '1' }), disk)), 'tar-entry', /sparse/);
    const long = { name: '././@LongLink', type: 'L', content: Buffer.from('/etc/cron.d/x\0') };
    expectRefusal(() => read(tarOf(long, disk)), 'tar-entry', /"\/etc\/cron.d\/x"/);
    // What pax says has precedence, whatever comes first.
    expectRefusal(
      () => read(tarOf(paxEntry({ path: '../x' }), { ...long, content: Buffer.from('disk/a\0') }, disk)),
      'tar-entry',
      /"..\/x"/,
    );
  });

  test('says an extended header of the next member only', () => {
    expectRefusal(() => read(tarOf(paxEntry({ path: 'disk/' }), directory, { ...disk, name: '../x' })), 'tar-entry', /"..\/x"/);
  });
});

describe('a layer that is refused', () => {
  test('with two disks', () => {
    expectRefusal(() => read(tarOf(disk, { ...disk, name: 'disk/b' })), 'two-disks', /"disk\/disk.img" and "disk\/b"/);
    expectRefusal(() => read(tarOf(disk, disk)), 'two-disks');
  });

  test('with a disk that is too large, before its first byte', () => {
    const header = tarHeader({ name: 'disk/d', size: 2_000 });
    expectRefusal(() => read(header, { maxDiskBytes: 1_999 }), 'disk-size', /2000 bytes, images.maxBytes allows 1999/);
    expectRefusal(() => read(tarHeader({ name: 'disk/d', size: base256(2n ** 63n - 1n) })), 'disk-size', /impossible/);
    expectRefusal(() => read(tarHeader({ name: 'disk/d', size: base256(2n ** 40n) })), 'disk-size', /1099511627776/);
    expectRefusal(() => read(tarOf(paxEntry({ size: String(2 ** 40) }), disk)), 'disk-size', /1099511627776/);
    expectRefusal(() => read(tarHeader({ name: 'disk/d', size: base256(-512n) })), 'tar-header', /negative/);
  });

  test('with a pax size that is not the content’s', () => {
    expectRefusal(() => read(tarOf(paxEntry({ size: '600' }), { ...disk, content: Buffer.alloc(1_200, 'x') })), 'tar-header', /checksum/);
    expectRefusal(() => read(tarOf(paxEntry({ size: '5000' }), disk)), 'tar-truncated');
  });

  test('with a hundred thousand members', () => {
    const many = Buffer.concat(Array.from({ length: 100 }, () => tarMember(directory)));
    const reader = makeTarReader({ maxDiskBytes: 1 });
    expectRefusal(
      () => {
        for (let left = 1_000; left > 0; left -= 1) reader.push(many);
      },
      'tar-members',
      /more than 64 members/,
    );
  });

  test('with descriptions without end', () => {
    expectRefusal(() => read(tarHeader({ name: 'x', type: 'L', size: 2 ** 33 })), 'tar-header', /a long name has more than 65536 bytes/);
    expectRefusal(() => read(tarHeader({ name: 'x', type: 'x', size: 65_537 })), 'tar-header', /an extended header has more/);
    expectRefusal(() => read(tarOf(...Array.from({ length: 65 }, () => paxEntry({ comment: 'x' }, 'g')))), 'tar-members');
    expectRefusal(() => read(tarOf({ name: 'x', type: 'L', content: Buffer.from('\0') }, disk)), 'tar-header', /long name is empty/);
  });

  test('that is no tar archive', () => {
    for (const bytes of [Buffer.from('QFI\xfb'.padEnd(4_096), 'latin1'), Buffer.alloc(4_096, 0x1f)]) {
      expectRefusal(() => read(bytes), 'tar-header', /no tar archive, or a damaged one/);
    }
  });

  test('cut off, wherever', () => {
    const layer = layerOf(content);
    for (let bytes = 0; bytes <= layer.length - 1; bytes += 1) {
      expectRefusal(() => read(layer.subarray(0, bytes)), 'tar-truncated', /is cut off/);
    }
    expectRefusal(() => read(layer.subarray(0, 1_030)), 'tar-truncated', /after the beginning of "disk\/disk.qcow2"/);
  });

  test('with an extended header of nothing', () => {
    expectRefusal(() => read(tarOf(disk, paxEntry({ path: 'x' }))), 'tar-header', /ends after an extended header/);
  });

  test('with other bytes behind or between', () => {
    expectRefusal(() => read(Buffer.concat([layerOf(content), Buffer.from('x')])), 'tar-trailer');
    expectRefusal(() => read(Buffer.concat([layerOf(content), layerOf(content)])), 'tar-trailer');
    expectRefusal(() => read(Buffer.concat([layerOf(content), Buffer.alloc(2 ** 20 + 1)])), 'tar-trailer');
    expectRefusal(() => read(Buffer.concat([tarMember(directory), Buffer.alloc(512), tarMember(disk), tarEnd])), 'tar-header', /zeros/);
  });
});

describe('whatever comes', () => {
  const hostile = fc
    .tuple(
      fc.array(fc.constantFrom(directory, disk, paxEntry({ path: 'disk/z' })), { maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(3_000), fc.nat(255)), { maxLength: 5 }),
    )
    .map(([entries, changes]) => {
      const archive = tarOf(...entries);
      for (const [at, byte] of changes) if (at < archive.length) archive[at] = byte;
      return archive;
    });
  const sizes = fc.array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 8 });

  /** What is read, or why nothing is. */
  function outcome(archive: Buffer, pieces: number[]): unknown {
    let found: unknown;
    const thrown = thrownBy(() => {
      found = read(archive, { sizes: pieces });
    });
    return thrown instanceof Refusal ? thrown.message : (thrown ?? found);
  }

  test('it is read or refused, in the same way however it is split', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostile,
          fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes)),
        ),
        sizes,
        (archive, pieces) => {
          const whole = outcome(archive, [archive.length]);
          expect(outcome(archive, pieces)).toEqual(whole);
          expect(whole).not.toBeInstanceOf(Error);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('what was packed comes out', () => {
    const name = fc.stringMatching(/^[a-zA-Z0-9_-]{1,90}$/);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), name, sizes, (bytes, base, pieces) => {
        const layer = layerOf(bytes, `disk/${base}`);
        expect(read(layer, { sizes: pieces })).toEqual({ sizeBytes: bytes.length, content: Buffer.from(bytes).toString('latin1') });
      }),
      { numRuns: 300 },
    );
  });

  test('content is passed on, not kept', () => {
    const reader = makeTarReader({ maxDiskBytes: 2 ** 40 });
    reader.push(tarHeader({ name: 'disk/d', size: base256(2n ** 36n) }));
    const chunk = Buffer.alloc(65_536);
    for (let left = 1_000; left > 0; left -= 1) {
      const [event, ...more] = reader.push(chunk);
      expect(more).toEqual([]);
      expect(event?.kind === 'content' && event.bytes.buffer === chunk.buffer).toBe(true);
    }
  });
});
