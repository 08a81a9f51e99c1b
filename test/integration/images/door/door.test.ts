import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDoor, type DoorOptions } from '../../../../src/images/door/door.ts';
import { PullProblem, Refusal } from '../../../../src/images/failures.ts';
import type { DiskFormat } from '../../../../src/model/image.ts';
import { newQcow2, withExtensions, withFields } from '../../../lib/qcow2.ts';
import { tempDir } from '../../../lib/temp.ts';

const signal = AbortSignal.timeout(120_000);
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
  test.each<[string, readonly string[]]>([
    ['plain', []],
    ['version 2', ['-o', 'compat=0.10']],
    ['lazy refcounts', ['-o', 'lazy_refcounts=on']],
    ['zstd', ['-o', 'compression_type=zstd']],
    ['extended L2 entries', ['-o', 'extended_l2=on,cluster_size=128k']],
    ['smallest clusters', ['-o', 'cluster_size=512']],
    ['largest clusters', ['-o', 'cluster_size=2M']],
    ['refcounts of 1 bit', ['-o', 'refcount_bits=1']],
    ['preallocated', ['-o', 'preallocation=metadata']],
  ])('%s', async (_name, args) => {
    expect(await judge(newQcow2('32M', args))).toBe('passed');
  });

  test('one that was shrunk, and one that was converted with compression', async () => {
    const file = join(tempDir(), 'disk');
    writeFileSync(file, newQcow2('64G'));
    execFileSync('qemu-img', ['resize', '-q', '--shrink', '-f', 'qcow2', file, '1M']);
    expect(await judge(readFileSync(file))).toBe('passed');
    const other = join(tempDir(), 'disk');
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', '/usr/bin/qemu-img', other]);
    expect(await judge(readFileSync(other))).toBe('passed');
  });
});

describe('hostile disks', () => {
  test.each<[string, (sound: Buffer) => Buffer, string]>([
    ['backing file', (sound) => withText(withFields(sound, { backingOffset: 4096, backingSize: 11 }), 4096, '/etc/shadow'), 'backing-file'],
    [
      'backing file over the network',
      (sound) => withText(withFields(sound, { backingOffset: 4096, backingSize: 24 }), 4096, 'nbd://127.0.0.1:10809/x'),
      'backing-file',
    ],
    [
      'data file',
      (sound) => withExtensions(withFields(sound, { incompatible: 4 }), [{ type: 0x44415441, data: '/etc/shadow' }]),
      'data-file',
    ],
    ['LUKS that crashes qemu-img', (sound) => withFields(sound, { cryptMethod: 2 }), 'encryption'],
    ['65536 snapshots', (sound) => withFields(sound, { snapshots: 65_536, snapshotsOffset: 65_536 }), 'internal-snapshots'],
    ['L1 table in the refcount table', (sound) => withFields(sound, { l1Offset: 65_536 }), 'tables-overlap'],
    ['refcount table that is the L1 table', (sound) => withFields(sound, { refcountOffset: sound.readBigUInt64BE(40) }), 'tables-overlap'],
    ['refcount blocks zeroed', (sound) => Buffer.from(sound).fill(0, 0x20000, 0x30000), 'qemu-check'],
    ['L1 entry outside the file', (sound) => withEntry(sound, 0n, (1n << 63n) | (1n << 50n)), 'l1-table'],
    ['cut to half', (sound) => sound.subarray(0, 131_072), 'l1-table'],
  ])('%s: %s', async (_name, harm, rule) => {
    expect(await judge(harm(newQcow2('64M')))).toBe(rule);
  });

  test('a bomb, whose every L1 entry leads to one L2 table, ends in time', async () => {
    const sound = newQcow2('512G');
    const [l1, entries] = [Number(sound.readBigUInt64BE(40)), sound.readUInt32BE(36)];
    const bomb = Buffer.concat([sound, Buffer.alloc(0x80000 - sound.length + 0x10000)]);
    for (let entry = 0; entry < entries; entry += 1) bomb.writeBigUInt64BE((1n << 63n) | 0x70000n, l1 + entry * 8);
    for (let at = 0x70000; at < 0x80000; at += 8) bomb.writeBigUInt64BE((1n << 63n) | 0x80000n, at);
    expect(await judge(bomb, { timeoutMs: 15_000 })).toBe('l1-table');
  });

  test('a vmdk, a tar and an empty file are no qcow2, whatever QEMU would guess', async () => {
    for (const bytes of [Buffer.from('# Disk DescriptorFile\nversion=1\n'), Buffer.alloc(10_240), Buffer.alloc(0)]) {
      expect(await judge(bytes)).toBe('magic');
    }
  });

  test('larger than the limit', async () => {
    expect(await judge(newQcow2('2M'), { maxVirtualBytes: 2 ** 20 })).toBe('virtual-size');
  });
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
    expect(await withProgram(script, { timeoutMs: 1_500 })).toBe(expected);
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

function withText(disk: Buffer, at: number, text: string): Buffer {
  const copy = Buffer.from(disk);
  copy.write(text, at);
  return copy;
}

function withEntry(disk: Buffer, entry: bigint, value: bigint): Buffer {
  const copy = Buffer.from(disk);
  copy.writeBigUInt64BE(value, Number(disk.readBigUInt64BE(40) + entry * 8n));
  return copy;
}
