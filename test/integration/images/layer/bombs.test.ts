import { randomBytes } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { followBlob } from '../../../../src/images/layer/follow.ts';
import { gzipZeros, pack, zstdRepeating } from '../../../lib/packed.ts';
import { base256, tarHeader, tarOf } from '../../../lib/tar.ts';
import { tempDir } from '../../../lib/temp.ts';
import { unwrapBlob, type UnwrapOptions } from '../../../lib/unwrap.ts';

const mebibyte = 2 ** 20;
const hugeHeader = tarHeader({ name: 'disk/d', size: base256(8n * 2n ** 30n) });
/** 8 GiB from 8 MB. */
const layerBomb = Buffer.concat([pack.gzip(hugeHeader), gzipZeros(8_192), pack.gzip(tarOf())]);

/** Refused, without a disk left, and with little memory. */
async function expectBomb(blob: Buffer, options: UnwrapOptions, rule: string): Promise<void> {
  await unwrapBlob(pack.gzip(Buffer.alloc(mebibyte)), { compression: 'gzip' }).followed; // what the first thread costs for ever
  const before = process.memoryUsage.rss();
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10);
  try {
    const { followed, diskFile } = unwrapBlob(blob, options);
    await expect(followed).rejects.toMatchObject({ name: 'Refusal', rule });
    expect(existsSync(diskFile)).toBe(false);
    expect((most - before) / mebibyte).toBeLessThan(64);
  } finally {
    clearInterval(sampling);
  }
}

describe('a bomb is refused', () => {
  test('layer-bomb.tar.gz, by its header', async () => {
    expect(layerBomb.length).toBeLessThan(9 * mebibyte);
    await expectBomb(layerBomb, { compression: 'gzip', archive: 'tar', maxDiskBytes: 2 ** 30 }, 'disk-size');
  });

  test('layer-bomb.tar.gz, by its ratio', async () => {
    await expectBomb(layerBomb, { compression: 'gzip', archive: 'tar', maxDiskBytes: 2 ** 40, maxRatio: 20 }, 'compression-bomb');
  });

  test('zeros after a layer’s end', async () => {
    await expectBomb(Buffer.concat([pack.gzip(tarOf()), gzipZeros(1_024)]), { compression: 'gzip', archive: 'tar' }, 'tar-trailer');
  });

  test('bomb.raw.gz', async () => {
    await expectBomb(gzipZeros(1_024), { compression: 'gzip', maxDiskBytes: 128 * mebibyte }, 'disk-size');
  });

  test('bomb.raw.zst of other bytes than zeros', async () => {
    await expectBomb(zstdRepeating(80_000, { byte: 0xaa }), { compression: 'zstd', maxDiskBytes: 64 * mebibyte }, 'disk-size');
    await expectBomb(zstdRepeating(80_000), { compression: 'zstd', maxDiskBytes: 2 ** 40, maxRatio: 100 }, 'compression-bomb');
  });

  test('bomb.raw.xz', async () => {
    const bomb = pack.xz(Buffer.alloc(128 * mebibyte));
    await expectBomb(Buffer.concat([bomb, bomb, bomb]), { compression: 'xz', maxDiskBytes: 64 * mebibyte }, 'disk-size');
    await expectBomb(Buffer.concat([bomb, bomb, bomb]), { compression: 'xz', maxRatio: 100 }, 'compression-bomb');
  });
});

describe('what is no bomb passes', () => {
  test('a disk of nothing but zeros that gzip packed', async () => {
    expect((await unwrapBlob(gzipZeros(256), { compression: 'gzip' }).followed).disk?.sizeBytes).toBe(256 * mebibyte);
  });

  test('a disk that begins with many zeros, once its data is there', async () => {
    const data = pack.zstd(randomBytes(3 * mebibyte));
    const zeros = zstdRepeating(2_400); // 300 MiB
    const blob = Buffer.concat([zeros, data]);
    const dir = tempDir();
    writeFileSync(join(dir, 'blob'), blob);
    const request = { blobFile: join(dir, 'blob'), diskFile: join(dir, 'disk'), maxDiskBytes: 2 ** 30, maxRatio: 128 };
    await using follower = followBlob({ ...request, wrapping: { compression: 'zstd', archive: 'none' } }, AbortSignal.timeout(30_000));
    follower.advance(mebibyte); // good for 192 MiB
    expect((await follower.finish(blob.length)).disk?.sizeBytes).toBe(303 * mebibyte);
    expect(statSync(request.diskFile).blocks * 512).toBeLessThan(4 * mebibyte);
  });
});
