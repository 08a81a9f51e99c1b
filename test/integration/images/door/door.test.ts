import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDoor, type DoorOptions } from '../../../../src/images/door/door.ts';
import { PullProblem, Refusal } from '../../../../src/images/failures.ts';
import type { DiskFormat } from '../../../../src/model/image.ts';
import { rawContent } from '../../../lib/foreign-disks.ts';
import { newQcow2 } from '../../../lib/qcow2.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(120_000);
/** A confined program has begun and ended by then, also on a busy machine. */
const longEnoughToStartMs = 5_000;
const options: DoorOptions = { qemuImg: 'qemu-img', user: { uid: 65_534, gid: 65_534 }, maxVirtualBytes: 2 ** 40, timeoutMs: 30_000 };

async function judge(bytes: Buffer, over: Partial<DoorOptions> & { format?: DiskFormat } = {}): Promise<string> {
  const file = join(tempDir(), 'disk');
  writeFileSync(file, bytes);
  chmodSync(file, 0o644);
  await using disk = await open(file, 'r');
  try {
    await makeDoor({ ...options, ...over }).inspect(disk, over.format ?? 'qcow2', signal);
    return 'passed';
  } catch (error) {
    if (error instanceof Refusal) return error.rule;
    throw error;
  }
}

describe('disks that qemu-img makes pass', () => {
  const clusters = ['512', '4k', '64k', '2M'].flatMap((size) => [`compat=0.10,cluster_size=${size}`, `cluster_size=${size}`]);
  const kinds = [
    'compat=0.10',
    'lazy_refcounts=on',
    'compression_type=zstd',
    'extended_l2=on,cluster_size=16k',
    'extended_l2=on,cluster_size=128k',
    'refcount_bits=1',
    'refcount_bits=64',
    'preallocation=metadata',
    'preallocation=falloc',
    'preallocation=metadata,extended_l2=on',
  ];

  test.each([...clusters, ...kinds])('%s: new', async (kind) => {
    expect(await judge(newQcow2('32M', ['-o', kind]))).toBe('passed');
  });

  test.each([...clusters, ...kinds])('%s: with data', async (kind) => {
    expect(await judge(converted(['-o', kind]))).toBe('passed');
  });

  test.each(['compat=0.10', 'compression_type=zlib', 'compression_type=zstd', 'compression_type=zstd,extended_l2=on'])(
    '%s: compressed',
    async (kind) => {
      expect(await judge(converted(['-c', '-o', kind]))).toBe('passed');
    },
  );

  test('one that was shrunk, and one of 2 TiB', async () => {
    const file = join(tempDir(), 'disk');
    writeFileSync(file, newQcow2('64G'));
    execFileSync('qemu-img', ['resize', '-q', '--shrink', '-f', 'qcow2', file, '1M']);
    expect(await judge(readFileSync(file))).toBe('passed');
    expect(await judge(newQcow2('2T'), { maxVirtualBytes: 2 ** 41 })).toBe('passed');
  });

  test('one with clusters that are lost, as after a crash: its data is sound', async () => {
    const disk = Buffer.concat([newQcow2('64M'), Buffer.alloc(0x50000)]).subarray(0, 0x50000);
    disk.writeUInt16BE(1, 0x20000 + 4 * 2); // a refcount of a cluster that nothing leads to
    expect(await judge(disk)).toBe('passed');
  });
});

describe('limits', () => {
  test('larger than the limit', async () => {
    expect(await judge(newQcow2('2M'), { maxVirtualBytes: 2 ** 20 })).toBe('virtual-size');
    const disk = newQcow2('2M');
    expect(await judge(disk, { maxFileBytes: disk.length })).toBe('passed');
    expect(await judge(disk, { maxFileBytes: disk.length - 1 })).toBe('file-size');
    expect(await judge(Buffer.alloc(1024), { maxFileBytes: 1023, format: 'raw' })).toBe('file-size');
  });
});

test('what inspects a disk cannot change it, though the daemon can', async () => {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const program = join(dir, 'qemu-img');
  writeFileSync(program, `#!/bin/sh\n[ "$1" = --version ] && { echo qemu-img version 9.9; exit; }\necho evil >&3\nexit 1\n`, {
    mode: 0o755,
  });
  const sound = newQcow2();
  const file = join(dir, 'disk');
  writeFileSync(file, sound, { mode: 0o644 });
  await using disk = await open(file, 'r+');
  await expect(makeDoor({ ...options, qemuImg: program }).inspect(disk, 'qcow2', signal)).rejects.toThrow(Refusal);
  expect(readFileSync(file).equals(sound)).toBe(true);
});

test('the version is asked for once, and again when the program has become another', async () => {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const program = join(dir, 'qemu-img');
  const write = (version: string): void => writeFileSync(program, `#!/bin/sh\necho qemu-img version ${version}\n`, { mode: 0o755 });
  write('9.9');
  const door = makeDoor({ ...options, qemuImg: program });
  expect((await door.versions(signal)).qemu).toBe('9.9');
  expect((await door.versions(signal)).qemu).toBe('9.9');
  write('10.0');
  expect((await door.versions(signal)).qemu).toBe('10.0');
});

describe('raw disks', () => {
  test.each<[string, Buffer, string]>([
    ['whole sectors', Buffer.alloc(1024), 'passed'],
    ['qcow2 inside', Buffer.concat([newHeader(), Buffer.alloc(1024 - 4)]), 'passed'],
    ['part of a sector', Buffer.alloc(513), 'virtual-size'],
    ['empty', Buffer.alloc(0), 'virtual-size'],
    ['over the limit', Buffer.alloc(4096), 'virtual-size'],
  ])('%s: %s', async (_name, bytes, expected) => {
    expect(await judge(bytes, { format: 'raw', maxVirtualBytes: 2048 })).toBe(expected);
  });
});

describe('a qemu-img that', () => {
  async function withProgram(script: string, over: Partial<DoorOptions> = {}): Promise<string> {
    const dir = tempDir();
    chmodSync(dir, 0o755);
    const program = join(dir, 'qemu-img');
    writeFileSync(program, `#!/bin/sh\n[ "$1" = --version ] && { echo qemu-img version 9.9; exit; }\n${script}\n`, { mode: 0o755 });
    return judge(newQcow2(), { qemuImg: program, ...over });
  }

  test.each<[string, string, string]>([
    ['dies by a signal', 'kill -SEGV $$', 'qemu-info'],
    ['hangs', 'sleep 60', 'qemu-info'],
    ['says too much', 'yes', 'qemu-info'],
    ['says nonsense', 'echo hello', 'qemu-info'],
    [
      'finds a backing file',
      `echo '{"format":"qcow2","virtual-size":16777216,"backing-filename":"/x","format-specific":{"type":"qcow2","data":{}}}'`,
      'backing-file',
    ],
    ['finds errors', report('[ "$1" = info ] || exit 2'), 'qemu-check'],
    ['hangs in check', report('[ "$1" = info ] || sleep 60'), 'qemu-check'],
    ['crashes in check', report('[ "$1" = info ] || kill -TRAP $$'), 'qemu-check'],
    ['finds leaked clusters only', report('[ "$1" = info ] || exit 3'), 'passed'],
  ])('%s: %s', async (_name, script, expected) => {
    expect(await withProgram(script, { timeoutMs: longEnoughToStartMs })).toBe(expected);
  });

  test('is missing or fails is not the disk’s fault', async () => {
    await expect(judge(newQcow2(), { qemuImg: '/no/qemu-img' })).rejects.toThrow(PullProblem);
    await expect(judge(newQcow2(), { qemuImg: 'false' })).rejects.toThrow(/disks cannot be inspected: false --version: exit status 1/);
  });
});

function report(check: string): string {
  return `${check}\necho '{"format":"qcow2","virtual-size":16777216,"format-specific":{"type":"qcow2","data":{}}}'`;
}

function newHeader(): Buffer {
  return Buffer.from('QFI\xfb', 'latin1');
}

/** A disk with data, as qemu-img converts it. */
function converted(args: readonly string[]): Buffer {
  const dir = tempDir();
  writeFileSync(join(dir, 'raw'), rawContent());
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...args, join(dir, 'raw'), join(dir, 'qcow2')]);
  return readFileSync(join(dir, 'qcow2'));
}
