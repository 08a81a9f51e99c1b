import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { makeVolumes, type RootDiskRequest } from '../../../src/volumes/volumes.ts';
import { tempDir } from '../../lib/temp.ts';

const volumes = makeVolumes();
const { signal } = new AbortController();
const MiB = 2 ** 20;
let dir: string;
let request: RootDiskRequest;

beforeEach(() => {
  dir = tempDir();
  const base = join(dir, 'base.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', base, '16M']);
  mkdirSync(join(dir, 'vm'));
  const path = join(dir, 'vm', 'root.qcow2');
  request = { path, base: { path: base, format: 'qcow2', virtualSizeBytes: 16 * MiB }, uid: 64_001, gid: 64_002 };
});

interface Info {
  readonly 'virtual-size': number;
  readonly 'full-backing-filename': string;
  readonly 'backing-filename-format': string;
  readonly 'cluster-size': number;
}

function info(file: string): Info {
  return JSON.parse(execFileSync('qemu-img', ['info', '--output=json', '-f', 'qcow2', file], { encoding: 'utf8' })) as Info;
}

describe('a root disk', () => {
  test('is an overlay that QEMU finds sound, of the VM alone', async () => {
    await volumes.makeRootDisk(request, signal);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', request.path]);
    expect(info(request.path)).toMatchObject({
      'virtual-size': 16 * MiB,
      'full-backing-filename': request.base.path,
      'backing-filename-format': 'qcow2',
      'cluster-size': 65_536,
    });
    const { mode, uid, gid, blocks } = statSync(request.path);
    expect([mode & 0o7777, uid, gid]).toEqual([0o600, 64_001, 64_002]);
    expect(blocks * 512).toBeLessThanOrEqual(256 * 1024);
    expect(readdirSync(dirname(request.path))).toEqual(['root.qcow2']);
  });

  test.each([
    ['a large disk', 10 * 2 ** 40],
    ['a size between sectors, which is rounded up', 16 * MiB + 1],
  ])('has the size that is asked for: %s', async (_what, sizeBytes) => {
    await volumes.makeRootDisk({ ...request, sizeBytes }, signal);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', request.path]);
    expect(info(request.path)['virtual-size']).toBe(Math.ceil(sizeBytes / 512) * 512);
  });

  test('shows the base, keeps writes to itself, grows when it is written to', async () => {
    const raw = join(dir, 'base.raw');
    writeFileSync(raw, Buffer.alloc(16 * MiB, 'b'));
    await volumes.makeRootDisk(
      { ...request, base: { path: raw, format: 'raw', virtualSizeBytes: 16 * MiB }, sizeBytes: 5 * 2 ** 40 },
      signal,
    );
    const io = (...commands: string[]): string =>
      execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), request.path], { encoding: 'utf8' });
    const said = io('read -P 0x62 0 16M', 'read -P 0 16M 1M', 'write -P 0x63 64k 1M', 'write -P 0x64 4096G 64k', 'read -P 0x63 64k 1M');
    expect(said).not.toMatch(/failed|error/i);
    expect(io('read -P 0x64 4096G 64k')).not.toMatch(/failed/);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', request.path]);
    expect(execFileSync('sha256sum', [raw], { encoding: 'utf8' })).toContain(sha256(Buffer.alloc(16 * MiB, 'b')));
  });

  test('replaces what an earlier attempt left, also a link at the temporary name', async () => {
    const victim = join(dir, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, `${request.path}.new`);
    writeFileSync(request.path, 'leftover');
    await volumes.makeRootDisk(request, signal);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', request.path]);
    expect(execFileSync('cat', [victim], { encoding: 'utf8' })).toBe('precious');
    expect(readdirSync(dirname(request.path))).toEqual(['root.qcow2']);
  });
});

describe('a root disk that cannot be made leaves nothing', () => {
  const left = (): string[] => readdirSync(dirname(request.path));

  test('smaller than its base: both sizes are named', async () => {
    await expect(volumes.makeRootDisk({ ...request, sizeBytes: 4 * MiB }, signal)).rejects.toMatchObject({
      facts: { code: 'INVALID' },
      message: expect.stringMatching(/4194304 bytes.*16777216/) as string,
    });
    expect(left()).toEqual([]);
  });

  test.each([2 ** 52, Number.NaN])('of %d bytes', async (sizeBytes) => {
    await expect(volumes.makeRootDisk({ ...request, sizeBytes }, signal)).rejects.toMatchObject({ facts: { code: 'INVALID' } });
    expect(left()).toEqual([]);
  });

  test('on a base that is gone', async () => {
    const base = { ...request.base, path: join(dir, 'gone') };
    await expect(volumes.makeRootDisk({ ...request, base }, signal)).rejects.toMatchObject({ facts: { code: 'IMAGE_NOT_FOUND' } });
    expect(left()).toEqual([]);
  });

  test('on a relative or overlong path', async () => {
    for (const path of ['nbd:host:1', `/${'x'.repeat(1100)}`]) {
      await expect(volumes.makeRootDisk({ ...request, base: { ...request.base, path } }, signal)).rejects.toMatchObject({
        facts: { code: 'INVALID' },
      });
    }
  });

  test('on a full file system', async () => {
    const mount = join(dir, 'full');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'vmlet-test', mount]);
    onTestFinished(() => void execFileSync('umount', [mount]));
    await expect(volumes.makeRootDisk({ ...request, path: join(mount, 'root.qcow2') }, signal)).rejects.toMatchObject({
      facts: { code: 'DISK_FULL', path: join(mount, 'root.qcow2') },
    });
    expect(readdirSync(mount)).toEqual([]);
  });

  test('when the caller has gone', async () => {
    await expect(volumes.makeRootDisk(request, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    const controller = new AbortController();
    const making = volumes.makeRootDisk(request, controller.signal);
    controller.abort(new Error('gone meanwhile'));
    await expect(making).rejects.toThrow('gone meanwhile');
    expect(left()).toEqual([]);
  });
});

function sha256(bytes: Buffer): string {
  return execFileSync('sha256sum', { input: bytes, encoding: 'utf8' }).slice(0, 64);
}
