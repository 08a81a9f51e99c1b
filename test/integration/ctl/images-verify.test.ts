import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { newQcow2, withFields } from '../../lib/qcow2.ts';
import { sha256Of } from '../../lib/signing.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const entry = join(import.meta.dirname, '../../../src/ctl.ts');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real command in a directory with these files; afterwards nothing more may be in its directory for temporary files. */
function verify(dir: string, args: readonly string[], wrap: readonly string[] = []): Ended {
  const tmp = join(dir, 'tmp');
  mkdirSync(tmp, { recursive: true });
  const [program = '', ...rest] = [...wrap, process.execPath, entry, 'images', 'verify', ...args];
  const { status, stdout, stderr } = spawnSync(program, rest, {
    cwd: dir,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', TMPDIR: tmp },
    timeout: 50_000,
  });
  expect(readdirSync(tmp)).toEqual([]);
  return { code: status, stdout, stderr };
}

function inDir(files: Readonly<Record<string, Buffer>>): string {
  const dir = tempDir();
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, name), bytes);
  return dir;
}

/** A layer as `tar` makes it of files under `disk/`; `fill` puts more into the directory that is archived. */
function layerOf(files: Readonly<Record<string, Buffer>>, fill: (dir: string) => void = () => undefined): Buffer {
  const dir = tempDir();
  mkdirSync(join(dir, 'disk'));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, 'disk', name), bytes);
  fill(join(dir, 'disk'));
  return execFileSync('tar', ['-C', dir, '-cf', '-', 'disk'], { maxBuffer: 2 ** 26 });
}

const disk = newQcow2Once();
function newQcow2Once(): () => Buffer {
  let bytes: Buffer | undefined;
  return () => (bytes ??= newQcow2('64M'));
}

describe('what a node takes is accepted, with code 0', () => {
  test.each<[string, () => Buffer, string]>([
    ['disk.qcow2', disk, 'none'],
    ['disk.qcow2.gz', () => gzipSync(disk()), 'gzip'],
    ['disk.qcow2.zst', () => zstdCompressSync(disk()), 'zstd'],
    ['disk.qcow2.xz', () => execFileSync('xz', ['-c'], { input: disk() }), 'xz'],
    ['layer.tar', () => layerOf({ 'debian.qcow2': disk() }), 'tar'],
    ['layer.tar.gz', () => gzipSync(layerOf({ 'debian.qcow2': disk() })), 'tar+gzip'],
    ['layer.tar.zst', () => zstdCompressSync(layerOf({ 'debian.qcow2': disk() })), 'tar+zstd'],
    ['layer.tar.xz', () => execFileSync('xz', ['-c'], { input: layerOf({ 'debian.qcow2': disk() }) }), 'tar+xz'],
  ])('%s', (name, bytes, wrapping) => {
    const file = bytes();
    const { code, stdout, stderr } = verify(inDir({ [name]: file }), [name, '-o', 'json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      file: name,
      verdict: 'accepted',
      wrapping,
      format: 'qcow2',
      virtualSizeBytes: 64 * 2 ** 20,
      sizeBytes: file.length,
      diskSizeBytes: disk().length,
      digest: sha256Of(disk()),
    });
  });

  test('a raw disk, if it is said to be one', () => {
    const dir = inDir({ 'disk.img': Buffer.alloc(1024, 'raw') });
    expect(JSON.parse(verify(dir, ['disk.img', '--format', 'raw', '-o', 'json']).stdout)).toMatchObject({
      verdict: 'accepted',
      format: 'raw',
      virtualSizeBytes: 1024,
    });
    const { code, stdout } = verify(dir, ['disk.img']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^refused +disk\.img\nrule +magic\n[^]*hint +if it is a raw disk, say --format raw/);
  });

  test.each(['vmdk', 'vdi', 'vhdx'] as const)('a disk of a format that can be converted: %s', (format) => {
    const dir = inDir({});
    const subformat = format === 'vmdk' ? ['-o', 'subformat=streamOptimized'] : [];
    writeFileSync(join(dir, 'source'), Buffer.alloc(2 ** 20, 'x'));
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...subformat, 'source', 'disk'], { cwd: dir });
    expect(JSON.parse(verify(dir, ['disk', '--format', format, '-o', 'json']).stdout)).toMatchObject({
      verdict: 'accepted',
      format,
      virtualSizeBytes: 2 ** 20,
    });
    expect(verify(dir, ['disk', '--format', format]).stdout).toContain(`images.convert lists ${format}`);
    expect(verify(dir, ['disk'])).toMatchObject({ code: 1, stdout: expect.stringMatching(/\nrule +magic\n/) });
  });

  test('a disk that root alone may read, and one behind a link', () => {
    const dir = inDir({ 'disk.qcow2': disk() });
    chmodSync(join(dir, 'disk.qcow2'), 0o600);
    symlinkSync('disk.qcow2', join(dir, 'link'));
    expect(verify(dir, ['link'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^accepted +link\n/) });
    expect(statSync(join(dir, 'disk.qcow2')).mode & 0o777).toBe(0o600);
  });
});

describe('what a node refuses is refused, with code 1 and the reason', () => {
  const half = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length / 2);

  test.each<[string, () => Buffer, string, RegExp]>([
    ['a backing file', () => withFields(disk(), { backingOffset: 4096, backingSize: 11 }), 'backing-file', /flatten it/],
    [
      'a backing file, in a layer',
      () => gzipSync(layerOf({ 'd.qcow2': withFields(disk(), { backingOffset: 4096, backingSize: 11 }) })),
      'backing-file',
      /flatten it/,
    ],
    ['damaged tables', () => Buffer.from(disk()).fill(0, 0x20000, 0x30000), 'qemu-check', /qemu-img check/],
    ['two disks', () => layerOf({ 'a.qcow2': disk(), 'b.qcow2': disk() }), 'two-disks', /two files/],
    ['no disk', () => layerOf({}), 'no-disk', /no disk/],
    ['a symbolic link', () => layerOf({}, (dir) => symlinkSync('/etc/shadow', join(dir, 'disk.qcow2'))), 'tar-entry', /link/],
    ['a cut layer', () => half(layerOf({ 'd.qcow2': disk() })), 'tar-truncated', /cut off/],
    ['a cut gzip file', () => half(gzipSync(layerOf({ 'd.qcow2': disk() }))), 'compression', /gzip/],
    ['a cut xz file', () => half(execFileSync('xz', ['-c'], { input: disk() })), 'compression', /xz/],
    ['a cut disk', () => half(disk()), 'l1-table', /outside the file/],
    ['an empty file', () => Buffer.alloc(0), 'magic', /no qcow2 disk/],
    ['a web page', () => Buffer.from('<!DOCTYPE html>'), 'magic', /no qcow2 disk/],
    ['a disk packed twice', () => gzipSync(gzipSync(disk())), 'compression', /packed twice/],
  ])('%s', (_what, bytes, rule, reason) => {
    const { code, stdout, stderr } = verify(inDir({ file: bytes() }), ['file', '-o', 'json']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'refused', rule, reason: expect.stringMatching(reason) });
  });

  test('more than the limits', () => {
    const dir = inDir({ 'disk.qcow2': disk(), 'disk.qcow2.gz': gzipSync(disk()) });
    const ruleOf = (...args: readonly string[]): unknown => JSON.parse(verify(dir, [...args, '-o', 'json']).stdout);
    expect(ruleOf('disk.qcow2', '--max-virtual-size', '63Mi')).toMatchObject({ verdict: 'refused', rule: 'virtual-size' });
    expect(ruleOf('disk.qcow2', '--max-bytes', '64Ki')).toMatchObject({ verdict: 'refused', rule: 'disk-size' });
    expect(ruleOf('disk.qcow2.gz', '--max-bytes', '64Ki')).toMatchObject({ verdict: 'refused', rule: 'disk-size' });
  });
});

describe('what cannot be judged ends with code 2 and a text', () => {
  test('files that are missing or no files', () => {
    const dir = inDir({});
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    expect(verify(dir, ['none'])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^vmletctl: ENOENT/) });
    expect(verify(dir, ['pipe'])).toMatchObject({ code: 2, stdout: '', stderr: 'vmletctl: pipe is not a regular file\n' });
  });

  test('somebody who is not root', () => {
    const dir = inDir({ file: disk() });
    chmodSync(dir, 0o755);
    const drop = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    expect(verify(dir, ['file'], drop)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('must be run as root') });
  });

  test('an answer that nobody gets', () => {
    const dir = inDir({ file: disk() });
    expect(verify(dir, ['file'], ['sh', '-c', 'exec "$@" >/dev/full', 'sh'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^vmletctl: the answer cannot be written: ENOSPC/),
    });
    const { stderr } = verify(dir, ['file'], ['sh', '-c', '{ "$@"; echo $? >code; } | true', 'sh']);
    expect([stderr, readFileSync(join(dir, 'code'), 'utf8')]).toEqual(['', '0\n']);
  });

  test('no space for what is unpacked', () => {
    const dir = inDir({ 'disk.gz': gzipSync(Buffer.alloc(2 ** 21, 'full')) });
    mkdirSync(join(dir, 'tmp'));
    const small = 'mount -t tmpfs -o size=1m none tmp && exec "$@"';
    const { code, stderr } = verify(dir, ['disk.gz', '--format', 'raw'], ['unshare', '--mount', 'sh', '-c', small, 'sh']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `vmletctl: no space left in ${join(dir, 'tmp')} to unpack the disk: let TMPDIR name another directory\n`,
    });
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends it at once, and nothing is left', async (name, expected) => {
  const dir = tempDir();
  const tmp = join(dir, 'tmp');
  mkdirSync(tmp);
  const member = gzipSync(Buffer.alloc(64 * 2 ** 20)); // 1/1000; 64 of them take seconds to unpack
  writeFileSync(join(dir, 'zeros.gz'), Buffer.concat(Array.from({ length: 256 }, () => member)));
  const child = spawn(process.execPath, [entry, 'images', 'verify', '--format', 'raw', 'zeros.gz'], {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '', TMPDIR: tmp },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = once(child, 'close');
  await waitFor(() => readdirSync(tmp, { recursive: true }).some((each) => String(each).endsWith('/disk')), {
    timeoutMs: 20_000,
    what: 'disk that is being unpacked',
  });
  child.kill(name);
  await closed;
  expect({ code: child.exitCode, stdout, stderr }).toEqual({ code: expected, stdout: '', stderr: `vmletctl: ended by ${name}\n` });
  expect(readdirSync(tmp)).toEqual([]);
});
