import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pack, xzWithDictionary, zstdRepeating } from '../../../lib/packed.ts';
import { layerOf, tarOf } from '../../../lib/tar.ts';
import { tempDir } from '../../../lib/temp.ts';
import { digested, unwrapBlob, type UnwrapOptions } from '../../../lib/unwrap.ts';

/** Random bytes, zeros, and text. */
const disk = Buffer.concat([randomBytes(700_000), Buffer.alloc(900_000), Buffer.from('text '.repeat(100_001))]);
const formats = ['gzip', 'zstd', 'xz'] as const;

async function expectRefused(blob: Buffer, options: UnwrapOptions, rule: string, message = /./): Promise<void> {
  const { followed, diskFile } = unwrapBlob(blob, options);
  await expect(followed).rejects.toMatchObject({ name: 'Refusal', rule, message: expect.stringMatching(message) });
  expect(existsSync(diskFile)).toBe(false);
}

describe.each(formats)('%s', (compression) => {
  const packed = pack[compression](disk);

  test('a disk comes out, with its digest', async () => {
    const { followed, diskFile } = unwrapBlob(packed, { compression });
    expect(await followed).toEqual({ blob: digested(packed), disk: digested(disk) });
    expect(readFileSync(diskFile).equals(disk)).toBe(true);
    expect(statSync(diskFile).mode & 0o777).toBe(0o600);
  });

  test('so it does out of a layer', async () => {
    const layer = pack[compression](layerOf(disk));
    const { followed, diskFile } = unwrapBlob(layer, { compression, archive: 'tar' });
    expect(await followed).toEqual({ blob: digested(layer), disk: digested(disk) });
    expect(readFileSync(diskFile).equals(disk)).toBe(true);
  });

  test('out of several members', async () => {
    const cuts = [0, 1, 300_000, 300_000, 1_600_000, disk.length];
    const members = cuts.slice(1).map((cut, index) => pack[compression](disk.subarray(cuts[index], cut)));
    expect((await unwrapBlob(Buffer.concat(members), { compression }).followed).disk).toEqual(digested(disk));
  });

  test('cut off, it is refused', async () => {
    for (const bytes of [packed.length - 1, packed.length - 9, 400_000, 262_144, 20, 3, 1]) {
      await expectRefused(packed.subarray(0, bytes), { compression }, 'compression');
    }
  });

  test('damaged, it is refused', async () => {
    const damaged = Buffer.from(packed);
    damaged[damaged.length - 5] = (damaged[damaged.length - 5] ?? 0) ^ 0xff;
    await expectRefused(damaged, { compression }, 'compression');
    await expectRefused(Buffer.from('<html>not found</html>'), { compression }, 'compression', new RegExp(compression));
  });

  test('followed by other bytes, it is refused', async () => {
    for (const more of [Buffer.from('garbage'), Buffer.of(0), Buffer.alloc(300_000, 'x')]) {
      await expectRefused(Buffer.concat([packed, more]), { compression }, 'compression');
    }
  });

  test('empty, it is refused', async () => {
    await expectRefused(Buffer.alloc(0), { compression }, 'compression');
    await expectRefused(Buffer.alloc(0), { compression, archive: 'tar' }, 'compression');
  });

  test('packed twice, it is refused', async () => {
    for (const inner of formats) {
      await expectRefused(pack[compression](pack[inner](disk)), { compression }, 'compression', /packed twice: \w+ is inside/);
      await expectRefused(pack[compression](pack[inner](layerOf(disk))), { compression, archive: 'tar' }, 'tar-header');
    }
  });

  test('larger than allowed, it is refused', async () => {
    await expectRefused(packed, { compression, maxDiskBytes: disk.length - 1 }, 'disk-size', /images.maxBytes/);
    const { followed } = unwrapBlob(packed, { compression, maxDiskBytes: disk.length });
    expect((await followed).disk?.sizeBytes).toBe(disk.length);
  });
});

describe('zstd', () => {
  test('skippable frames are skipped', async () => {
    const skippable = Buffer.concat([Buffer.of(0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0), Buffer.from('index')]);
    const blob = Buffer.concat([skippable, pack.zstd(disk), skippable]);
    expect((await unwrapBlob(blob, { compression: 'zstd' }).followed).disk).toEqual(digested(disk));
  });

  test('a window of 128 MiB is the largest', async () => {
    expect((await unwrapBlob(zstdRepeating(16, { windowLog: 27 }), { compression: 'zstd' }).followed).disk?.sizeBytes).toBe(2 ** 21);
    for (const windowLog of [28, 31, 41]) {
      await expectRefused(zstdRepeating(16, { windowLog }), { compression: 'zstd' }, 'compression', /requires too much memory|window/i);
    }
  });

  test('frames of next to nothing are refused', async () => {
    const blob = Buffer.concat(Array.from({ length: 40_000 }, () => pack.zstd(Buffer.from('x'))));
    await expectRefused(blob, { compression: 'zstd' }, 'compression', /very small frames/);
  });
});

test('xz: a dictionary that needs 4 GiB is refused', async () => {
  await expectRefused(xzWithDictionary(disk, 40), { compression: 'xz' }, 'compression', /memory/i);
});

describe('a layer', () => {
  test.each(['gnu', 'ustar', 'pax', 'v7', 'oldgnu'])('that GNU tar made in its %s format is read', async (format) => {
    const dir = tempDir();
    const name = format === 'v7' || format === 'ustar' ? 'disk.img' : `${'long-'.repeat(30)}.img`;
    mkdirSync(join(dir, 'disk'));
    writeFileSync(join(dir, 'disk', name), disk);
    const layer = execFileSync('tar', [`--format=${format}`, '-C', dir, '-cf', '-', './disk'], { maxBuffer: 2 ** 30 });
    const { followed, diskFile } = unwrapBlob(layer, { archive: 'tar' });
    expect(await followed).toEqual({ blob: digested(layer), disk: digested(disk) });
    expect(readFileSync(diskFile).equals(disk)).toBe(true);
  });

  test('that GNU tar made sparse is refused', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'disk'));
    writeFileSync(join(dir, 'disk', 'disk.img'), 'x');
    execFileSync('truncate', ['-s', '10M', join(dir, 'disk', 'disk.img')]);
    for (const format of ['gnu', 'pax']) {
      const layer = execFileSync('tar', ['--sparse', `--format=${format}`, '-C', dir, '-cf', '-', 'disk']);
      await expectRefused(layer, { archive: 'tar' }, 'tar-entry', /sparse/);
    }
  });

  test('without a disk has none, and no file is made', async () => {
    const layer = pack.gzip(tarOf({ name: 'disk/', type: '5' }));
    const { followed, diskFile } = unwrapBlob(layer, { compression: 'gzip', archive: 'tar' });
    expect(await followed).toEqual({ blob: digested(layer), disk: undefined });
    expect(existsSync(diskFile)).toBe(false);
  });

  test('with a bad member after the disk leaves no disk', async () => {
    const layer = tarOf({ name: 'disk/a', content: disk }, { name: 'disk/b', type: '2', linkName: '/etc/shadow' });
    await expectRefused(layer, { archive: 'tar' }, 'tar-entry', /a symbolic link "disk\/b"/);
  });

  test('of nothing is refused', async () => {
    await expectRefused(Buffer.alloc(0), { archive: 'tar' }, 'tar-truncated', /end marker/);
  });
});

test('zeros of a disk become holes, and are counted', async () => {
  const holey = Buffer.concat([Buffer.alloc(2 ** 20), randomBytes(100_000), Buffer.alloc(5_000_000)]);
  const { followed, diskFile } = unwrapBlob(pack.zstd(holey), { compression: 'zstd' });
  expect((await followed).disk).toEqual(digested(holey));
  expect(statSync(diskFile).size).toBe(holey.length);
  expect(statSync(diskFile).blocks * 512).toBeLessThan(300_000);
  expect(readFileSync(diskFile).equals(holey)).toBe(true);
});
