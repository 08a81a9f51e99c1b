import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readdirSync, readlinkSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { toVmletError } from '../../../../src/images/failures.ts';
import { followBlob } from '../../../../src/images/layer/follow.ts';
import type { FollowRequest } from '../../../../src/images/layer/follower.ts';
import { descendantsRunning } from '../../../lib/processes.ts';
import { pack } from '../../../lib/packed.ts';
import { layerOf, tarOf } from '../../../lib/tar.ts';
import { tempDir } from '../../../lib/temp.ts';
import { digested, unwrapBlob } from '../../../lib/unwrap.ts';
import { waitFor } from '../../../lib/wait.ts';

const disk = randomBytes(3_000_000);
const never = new AbortController().signal;

interface Blob {
  readonly request: FollowRequest;
  /** Writes bytes anywhere in the blob's file. */
  readonly write: (bytes: Uint8Array, at: number) => void;
}

function emptyBlob(wrapping: FollowRequest['wrapping'], options: Partial<FollowRequest> = {}): Blob {
  const dir = tempDir();
  const blobFile = join(dir, 'blob');
  const fd = openSync(blobFile, 'w');
  onTestFinished(() => closeSync(fd));
  const request = { blobFile, diskFile: join(dir, 'disk'), wrapping, maxDiskBytes: 2 ** 30, ...options };
  return { request, write: (bytes, at) => void writeSync(fd, bytes, 0, bytes.length, at) };
}

const bare = { compression: 'none', archive: 'none' } as const;
const gzipLayer = { compression: 'gzip', archive: 'tar' } as const;

/** Descriptors of this process that lead to a file. */
function openFiles(file: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(file);
    } catch {
      return false; // gone in the meantime
    }
  }).length;
}

describe('a blob that is followed while it is written', () => {
  test('in order', async () => {
    const blob = pack.gzip(layerOf(disk));
    const { request, write } = emptyBlob(gzipLayer);
    await using follower = followBlob(request, never);
    for (let at = 0; at < blob.length; at += 70_000) {
      write(blob.subarray(at, at + 70_000), at);
      follower.advance(Math.min(at + 70_000, blob.length));
    }
    expect(await follower.finish(blob.length)).toEqual({ blob: digested(blob), disk: digested(disk) });
  });

  test('from behind, of which nothing is read before it is told', async () => {
    const { request, write } = emptyBlob(bare);
    await using follower = followBlob(request, never);
    write(disk.subarray(1_500_000), 1_500_000);
    follower.advance(0);
    write(disk.subarray(0, 1_500_000), 0);
    follower.advance(disk.length);
    expect(await follower.finish(disk.length)).toEqual({ blob: digested(disk), disk: digested(disk) });
    expect(existsSync(request.diskFile)).toBe(false);
  });

  test('whose disk is written before the end is there', async () => {
    const layer = layerOf(disk);
    const { request, write } = emptyBlob({ compression: 'none', archive: 'tar' });
    await using follower = followBlob(request, never);
    write(layer.subarray(0, 2_500_000), 0);
    follower.advance(2_500_000);
    await waitFor(() => existsSync(request.diskFile) && statSync(request.diskFile).size >= 2 ** 20, { timeoutMs: 10_000, what: 'disk' });
    write(layer.subarray(2_500_000), 2_500_000);
    expect((await follower.finish(layer.length)).disk).toEqual(digested(disk));
  });

  test('whose beginning is refused before the end is there', async () => {
    const layer = tarOf({ name: 'disk/a', type: '2', linkName: '/etc/shadow' }, Buffer.alloc(3 * 2 ** 20));
    const { request, write } = emptyBlob({ compression: 'none', archive: 'tar' });
    await using follower = followBlob(request, never);
    write(layer, 0);
    follower.advance(2 ** 20);
    await expect(follower.failed).rejects.toMatchObject({ name: 'Refusal', rule: 'tar-entry' });
    await expect(follower.finish(layer.length)).rejects.toMatchObject({ rule: 'tar-entry' });
  });

  test('that is empty and bare is a disk of no bytes', async () => {
    expect(await unwrapBlob(Buffer.alloc(0)).followed).toEqual({ blob: digested(Buffer.alloc(0)), disk: digested(Buffer.alloc(0)) });
  });
});

describe('what fails with the system’s error', () => {
  test('a blob that is not there', async () => {
    const { request } = emptyBlob(bare, { blobFile: '/no/such/blob' });
    await using follower = followBlob(request, never);
    await expect(follower.failed).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a blob that is shorter than was told', async () => {
    const { request } = emptyBlob(bare);
    await using follower = followBlob(request, never);
    await expect(follower.finish(100)).rejects.toThrow("the blob's file ends after 0 bytes");
  });

  test('a disk file that exists, which stays', async () => {
    const { request, write } = emptyBlob({ compression: 'gzip', archive: 'none' });
    writeFileSync(request.diskFile, 'mine');
    const blob = pack.gzip(disk);
    write(blob, 0);
    await using follower = followBlob(request, never);
    await expect(follower.finish(blob.length)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(statSync(request.diskFile).size).toBe(4);
  });

  test('a full disk, from which the file is gone', async () => {
    const small = join(tempDir(), 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'vmlet-test', small]);
    onTestFinished(() => void execFileSync('umount', [small]));
    const { request, write } = emptyBlob(gzipLayer, { diskFile: join(small, 'disk') });
    const blob = pack.gzip(layerOf(disk));
    write(blob, 0);
    await using follower = followBlob(request, never);
    const error: unknown = await follower.finish(blob.length).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ENOSPC' });
    expect(toVmletError(error, 'r', small)).toMatchObject({ facts: { code: 'DISK_FULL' } });
    expect(readdirSync(small)).toEqual([]);
  });

  test('a thread that cannot work', async () => {
    const { request } = emptyBlob(bare, { wrapping: { compression: 'lzma' as 'xz', archive: 'none' } });
    await using follower = followBlob(request, never);
    await expect(follower.finish(0)).rejects.toBeInstanceOf(Error);
  });
});

describe('a follower that is not wanted any more', () => {
  test.each(['gzip', 'zstd', 'xz'] as const)('%s: leaves no disk, no file open and no program', async (compression) => {
    const blob = pack[compression](layerOf(disk));
    const { request, write } = emptyBlob({ compression, archive: 'tar' });
    write(blob, 0);
    const controller = new AbortController();
    {
      await using follower = followBlob(request, controller.signal);
      follower.advance(2_900_000);
      await waitFor(() => existsSync(request.diskFile), { timeoutMs: 10_000, what: 'disk' });
      expect(descendantsRunning('xz')).toHaveLength(compression === 'xz' ? 1 : 0);
      controller.abort(new Error('enough'));
      await expect(follower.failed).rejects.toThrow('enough');
      await expect(follower.finish(blob.length)).rejects.toThrow('enough');
    }
    expect(existsSync(request.diskFile)).toBe(false);
    expect(openFiles(request.diskFile)).toBe(0);
    expect(openFiles(request.blobFile)).toBe(1); // the test's own
    expect(descendantsRunning('xz')).toEqual([]);
  });

  test('by disposing alone', async () => {
    const { request, write } = emptyBlob({ compression: 'none', archive: 'tar' });
    write(layerOf(disk), 0);
    const follower = followBlob(request, never);
    follower.advance(2_900_000);
    await waitFor(() => existsSync(request.diskFile), { timeoutMs: 10_000, what: 'disk' });
    await follower[Symbol.asyncDispose]();
    await follower[Symbol.asyncDispose]();
    await expect(follower.failed).rejects.toMatchObject({ name: 'AbortError' });
    expect(existsSync(request.diskFile)).toBe(false);
    expect(openFiles(request.blobFile)).toBe(1);
  });

  test('before it began', async () => {
    const { request } = emptyBlob(gzipLayer);
    await using follower = followBlob(request, AbortSignal.abort(new Error('never')));
    await expect(follower.failed).rejects.toThrow('never');
  });
});

/** Children of this process that unpack xz. */
