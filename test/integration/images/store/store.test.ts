import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Image } from '../../../../src/model/image.ts';
import { silentLog, type Log } from '../../../../src/lib/log.ts';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { filesIn, nothing, openImages } from '../../../lib/image-store.ts';
import { newQcow2 } from '../../../lib/qcow2.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(120_000);

async function diskServer(sizes: Readonly<Record<string, string>>) {
  const server = await startDiskServer();
  for (const [name, size] of Object.entries(sizes)) server.answer(`/${name}`, newQcow2(size));
  return { server, sources: Object.keys(sizes).map((name) => ({ name, format: 'qcow2' as const, url: `${server.url}/${name}` })) };
}

/** A log that keeps what was said at warn and error. */
function keepingLog(): { readonly log: Log; readonly said: string[] } {
  const said: string[] = [];
  const keep = (_facts: object, message: string): void => void said.push(message);
  return { said, log: { ...silentLog, warn: keep, error: keep } };
}

describe('removal', () => {
  test('takes the image with all its names, by any of them, and may be repeated', async () => {
    const { sources } = await diskServer({ disk: '16M' });
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({
      storeDir,
      sources: [...sources, { ...sources[0], name: 'twin', url: sources[0]?.url ?? '', format: 'qcow2' }],
    });
    const image = await images.pull({ reference: 'disk' }, signal);
    await images.pull({ reference: 'twin' }, signal);
    await images.remove('twin', signal);
    for (const reference of ['disk', 'twin', image.id, `disk@${image.digest}`]) expect(images.find(reference)).toBeUndefined();
    expect(images.list()).toEqual([]);
    expect(filesIn(storeDir)).toEqual(nothing);
    await images.remove('twin', signal);
    await images.remove(image.id, signal);
  });

  test('waits until no root disk depends on the image', async () => {
    const { sources } = await diskServer({ disk: '16M' });
    const images = await openImages({ sources });
    const image = await images.pull({ reference: 'disk' }, signal);
    expect(images.hold(image.id, 'c1')).toEqual(image);
    images.hold(image.id, 'c1');
    images.hold(image.id, 'c2');
    await expect(images.remove('disk', signal)).rejects.toThrow(
      expect.objectContaining({ facts: { code: 'IMAGE_IN_USE', imageId: image.id, containerId: 'c1' } }),
    );
    images.release(image.id, 'c1');
    images.release(image.id, 'c1');
    await expect(images.remove('disk', signal)).rejects.toThrow(/of c2/);
    images.release(image.id, 'c2');
    await images.remove('disk', signal);
    expect(() => images.hold(image.id, 'c3')).toThrow(expect.objectContaining({ facts: { code: 'IMAGE_NOT_FOUND', reference: image.id } }));
  });

  test('and pulls at the same time end with an image that is whole or absent', async () => {
    const { sources } = await diskServer({ disk: '16M' });
    const images = await openImages({ sources });
    for (let round = 0; round < 5; round += 1) {
      const [pulled] = await Promise.all([
        images.pull({ reference: 'disk' }, signal),
        images.remove('disk', signal),
        images.pull({ reference: 'disk' }, signal),
      ]);
      await images.remove(pulled.id, signal);
      expect(images.list()).toEqual([]);
    }
  });
});

test('a disk that was changed meanwhile is replaced when it is pulled again', async () => {
  const { sources } = await diskServer({ disk: '16M' });
  const images = await openImages({ sources });
  const image = await images.pull({ reference: 'disk' }, signal);
  const good = readFileSync(image.path);
  writeFileSync(image.path, Buffer.alloc(good.length, 1));
  expect(() => images.hold(image.id, 'c1')).toThrow(/not the one that was inspected/);
  await images.pull({ reference: 'disk' }, signal);
  expect(readFileSync(images.hold(image.id, 'c1').path).equals(good)).toBe(true);
});

test('an image whose name is listed is pinned, as long as it has that name', async () => {
  const { server, sources } = await diskServer({ disk: '16M', other: '32M' });
  const images = await openImages({ sources, pinned: ['disk', 'absent:3'] });
  const [pinned, plain] = [await images.pull({ reference: 'disk' }, signal), await images.pull({ reference: 'other' }, signal)];
  expect([pinned.pinned, plain.pinned]).toEqual([true, false]);
  server.answer('/disk', newQcow2('64M'));
  const next = await images.pull({ reference: 'disk' }, signal);
  expect(images.list().map(({ id, pinned: isPinned }) => [id, isPinned])).toEqual(
    expect.arrayContaining([
      [next.id, true],
      [pinned.id, false],
    ]),
  );
  await images.remove(next.id, signal);
  expect(images.find('disk')).toBeUndefined();
});

describe('a start', () => {
  async function filledStore(): Promise<{ storeDir: string; image: Image; other: Image }> {
    const { sources } = await diskServer({ disk: '16M', other: '32M' });
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources });
    const [image, other] = [await images.pull({ reference: 'disk' }, signal), await images.pull({ reference: 'other' }, signal)];
    await images.close();
    return { storeDir, image, other };
  }

  test('finds what was there', async () => {
    const { storeDir, image, other } = await filledStore();
    const { log, said } = keepingLog();
    const images = await openImages({ storeDir }, { log });
    expect(images.list()).toEqual([image, other].toSorted((a, b) => (a.id < b.id ? -1 : 1)));
    expect(images.find('disk')).toEqual(image);
    expect(said).toEqual([]);
  });

  test('removes disks without a record and drops records without a disk, and says so', async () => {
    const { storeDir, image, other } = await filledStore();
    rmSync(image.path);
    writeFileSync(join(storeDir, 'blobs', 'f'.repeat(64)), 'x');
    const { log, said } = keepingLog();
    const images = await openImages({ storeDir }, { log });
    expect(images.list()).toEqual([other]);
    expect(readdirSync(join(storeDir, 'blobs'))).toEqual([other.id.slice(7)]);
    expect(said.toSorted()).toEqual([
      'disk without a record removed',
      'image without its disk dropped',
      'name without its image dropped',
      'name without its image dropped',
    ]);
  });

  test('drops a disk that is shorter than recorded', async () => {
    const { storeDir, image } = await filledStore();
    writeFileSync(image.path, 'short');
    const images = await openImages({ storeDir });
    expect(images.find('disk')).toBeUndefined();
  });

  test('keeps a disk whose record it cannot read, for it may be the base of a root disk', async () => {
    const { storeDir, image, other } = await filledStore();
    writeFileSync(join(storeDir, 'records', 'images', `${image.id.slice(7)}.json`), 'not json');
    const { log, said } = keepingLog();
    const images = await openImages({ storeDir }, { log });
    expect(images.list()).toEqual([other]);
    expect(statSync(image.path).size).toBe(image.sizeBytes);
    expect(said).toEqual(['record of an image is unreadable']);
  });

  test('judges again by another QEMU: what is refused now is listed, held and removed, but not found', async () => {
    const { storeDir, image } = await filledStore();
    const strict = qemuImg(`[ "$2" = --output=json ] && { echo bad >&2; exit 1; }`);
    const { log, said } = keepingLog();
    const images = await openImages({ storeDir, qemuImg: strict }, { log });
    expect(said).toEqual(['image is refused by now', 'image is refused by now']);
    expect([images.find('disk'), images.find(image.id)]).toEqual([undefined, undefined]);
    expect(images.list()).toHaveLength(2);
    expect(images.hold(image.id, 'c1').path).toBe(image.path);
    images.release(image.id, 'c1');
    await images.remove(image.id, signal);
    expect(images.list()).toHaveLength(1);
    await images.close();
    const mild = await openImages({ storeDir });
    expect(mild.find('other')).toBeDefined();
  });

  test('pulls a disk that went bad and is refused anew, and keeps the good bytes', async () => {
    const { sources } = await diskServer({ disk: '16M' });
    const storeDir = join(tempDir(), 'images');
    const first = await openImages({ storeDir, sources });
    const image = await first.pull({ reference: 'disk' }, signal);
    await first.close();
    const good = readFileSync(image.path);
    writeFileSync(image.path, Buffer.alloc(good.length, 1));
    const images = await openImages({ storeDir, sources, qemuImg: qemuImg('') });
    expect([images.find('disk'), images.list().length]).toEqual([undefined, 1]);
    expect((await images.pull({ reference: 'disk' }, signal)).id).toBe(image.id);
    expect(readFileSync(image.path).equals(good)).toBe(true);
    expect(images.hold(image.id, 'c1').path).toBe(image.path);
  });

  test('without qemu-img keeps its verdicts', async () => {
    const { storeDir, image } = await filledStore();
    const { log, said } = keepingLog();
    const images = await openImages({ storeDir, qemuImg: '/no/qemu-img' }, { log });
    expect(images.find('disk')).toEqual(image);
    expect(said).toEqual(['images not judged again']);
  });
});

test('a hostile disk is refused by the name of the rule, and nothing of it is left', async () => {
  const server = await startDiskServer();
  const hostile = newQcow2();
  hostile.writeUInt32BE(1, 60);
  server.answer('/disk', hostile);
  const storeDir = join(tempDir(), 'images');
  const images = await openImages({ storeDir, sources: [{ name: 'disk', url: `${server.url}/disk`, format: 'qcow2' }] });
  await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
    expect.objectContaining({
      facts: { code: 'IMAGE_REFUSED', reference: 'disk', rule: 'internal-snapshots' },
      message: expect.stringContaining('it has internal snapshots'),
    }),
  );
  expect(filesIn(storeDir)).toEqual(nothing);
});

test('without qemu-img no disk gets in, and the message says why', async () => {
  const { sources } = await diskServer({ disk: '16M' });
  const images = await openImages({ sources, qemuImg: '/no/qemu-img' });
  await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
    expect.objectContaining({
      facts: { code: 'PULL_FAILED', reference: 'disk', reason: 'other' },
      message: expect.stringMatching(/cannot be inspected.*\/no\/qemu-img/),
    }),
  );
});

describe('the space in use', () => {
  test('is what the files take on disk', async () => {
    const { sources } = await diskServer({ disk: '16M' });
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources });
    const image = await images.pull({ reference: 'disk' }, signal);
    const [du, inodes] = ['--block-size=1', '--inodes'].map((option) =>
      Number(execFileSync('du', ['-s', option, storeDir], { encoding: 'utf8' }).split('\t')[0]),
    );
    expect(images.usage()).toEqual({ mountpoint: storeDir, usedBytes: du, inodesUsed: inodes });
    expect(images.usage().usedBytes).toBeGreaterThan(statSync(image.path).blocks * 512);
  });
});

describe('a full disk', () => {
  function smallFileSystem(bytes: number): string {
    const dir = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', dir]);
    onTestFinished(() => void execFileSync('umount', [dir]));
    return join(dir, 'images');
  }

  test.each([true, false])('during a download (length announced: %s) is DISK_FULL, and nothing is left', async (isAnnounced) => {
    const server = await startDiskServer();
    const bytes = Buffer.alloc(12 * 2 ** 20, 1);
    server.answer('/disk', (_request, response) => {
      if (isAnnounced) response.setHeader('content-length', bytes.length);
      response.write(bytes.subarray(0, 100));
      response.end(bytes.subarray(100));
    });
    server.answer('/small', newQcow2());
    const storeDir = smallFileSystem(8 * 2 ** 20);
    const raw = { name: 'disk', url: `${server.url}/disk`, format: 'raw' as const };
    const images = await openImages({ storeDir, sources: [raw, { name: 'small', url: `${server.url}/small`, format: 'qcow2' }] });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      expect.objectContaining({ facts: { code: 'DISK_FULL', path: storeDir } }),
    );
    expect(filesIn(storeDir)).toEqual(nothing);
    expect(await images.pull({ reference: 'small' }, signal)).toMatchObject({ repoTags: ['small:latest'] });
  });

  test('is not what a disk of unknown size makes: the pull ends at images.minFree where no kubelet watches', async () => {
    const server = await startDiskServer();
    const storeDir = smallFileSystem(64 * 2 ** 20);
    server.answer('/disk', (_request, response) => {
      let sent = 0;
      const timer = setInterval(() => {
        response.write(Buffer.alloc(2 ** 20, 1));
        if ((sent += 1) < 60 && !response.destroyed) return;
        clearInterval(timer);
        response.end();
      }, 20);
    });
    const sources = [{ name: 'disk', url: `${server.url}/disk`, format: 'raw' as const }];
    const images = await openImages({ storeDir, sources, minFreeBytes: 32 * 2 ** 20, kubeletRoot: '/proc' });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(/images\.minFree keeps/);
    expect(filesIn(storeDir)).toEqual(nothing);
  });

  test('when the records are written is DISK_FULL, and neither disk nor names are left', async () => {
    const server = await startDiskServer();
    server.answer('/disk', Buffer.alloc(2 ** 20));
    const storeDir = smallFileSystem(4 * 2 ** 20);
    const images = await openImages({ storeDir, sources: [{ name: 'disk', url: `${server.url}/disk`, format: 'raw' }] });
    // A limit on inodes, hit by the second record: a disk and one record fit.
    const { inodesUsed } = images.usage();
    execFileSync('mount', ['-o', `remount,nr_inodes=${inodesUsed + 3}`, join(storeDir, '..')]);
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      expect.objectContaining({ facts: { code: 'DISK_FULL', path: storeDir } }),
    );
    expect(filesIn(storeDir)).toEqual(nothing);
    expect(images.list()).toEqual([]);
    execFileSync('mount', ['-o', 'remount,nr_inodes=100', join(storeDir, '..')]);
    expect((await images.pull({ reference: 'disk' }, signal)).repoTags).toEqual(['disk:latest']);
  });
});

/** A qemu-img with another version, which runs `script` before the real one. */
function qemuImg(script: string): string {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'bin'));
  const program = join(dir, 'bin', 'qemu-img');
  writeFileSync(program, `#!/bin/sh\n[ "$1" = --version ] && { echo qemu-img version 99.0; exit; }\n${script}\nexec qemu-img "$@"\n`, {
    mode: 0o755,
  });
  return program;
}
