import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeConverter, type ConverterOptions } from '../../../../src/images/door/convert.ts';
import { makeDoor } from '../../../../src/images/door/door.ts';
import type { ForeignFormat } from '../../../../src/images/door/foreign-header.ts';
import { isErrno } from '../../../../src/lib/errno.ts';
import { PullProblem, Refusal } from '../../../../src/images/failures.ts';
import { foreignDisk, rawContent, soundForeign, streamWithFooter } from '../../../lib/foreign-disks.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';
import { processesWith } from '../../../node/processes.ts';

const signal = AbortSignal.timeout(120_000);
const user = { uid: 65_534, gid: 65_534 };
/** A confined program has begun and ended by then, also on a busy machine. */
const longEnoughToStartMs = 5_000;
const options: ConverterOptions = { qemuImg: 'qemu-img', user, maxFileBytes: 2 ** 30, maxVirtualBytes: 2 ** 40, timeoutMs: 60_000 };

interface Outcome {
  readonly told: string;
  readonly dir: string;
}

async function convert(
  bytes: Buffer,
  format: ForeignFormat,
  over: Partial<ConverterOptions> = {},
  stop: AbortSignal = signal,
): Promise<Outcome> {
  const dir = tempDir();
  const path = join(dir, 'disk');
  writeFileSync(path, bytes);
  chmodSync(path, 0o644);
  await using disk = await open(path, 'r+');
  try {
    const { file } = await makeConverter({ ...options, ...over }).convert(disk, format, join(dir, 'qcow2'), stop);
    await file.close();
    return { told: 'converted', dir };
  } catch (error) {
    if (error instanceof Refusal) return { told: error.rule, dir };
    throw error;
  }
}

describe('a disk becomes qcow2 with the same content, and passes the door', () => {
  test.each(soundForeign)('$format $options', async ({ format, options: how }) => {
    const { told, dir } = await convert(foreignDisk(format, how), format);
    expect(told).toBe('converted');
    const made = join(dir, 'qcow2');
    const raw = join(dir, 'raw');
    writeFileSync(raw, rawContent());
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, made]);
    const { uid, gid, mode, size, blocks } = statSync(made);
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 0, gid: 0, mode: 0o644 });
    expect(blocks * 512).toBeLessThan(4 * 2 ** 20); // sparse: 300 KiB of content, qcow2's own tables
    expect(size).toBeLessThan(4 * 2 ** 20);
    await using file = await open(made, 'r');
    const passed = await makeDoor({ ...options, timeoutMs: 30_000 }).inspect(file, 'qcow2', signal);
    expect(passed.virtualSizeBytes).toBe(16 * 2 ** 20);
  });
});

test('a stream with a footer, as VMware writes it', async () => {
  const { told, dir } = await convert(streamWithFooter(), 'vmdk');
  expect(told).toBe('converted');
  writeFileSync(join(dir, 'raw'), rawContent());
  execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', join(dir, 'raw'), join(dir, 'qcow2')]);
});

describe('no conversion', () => {
  test.each<[string, string, string]>([
    ['flat', 'subformat=monolithicFlat', 'vmdk-type'],
    ['split', 'subformat=twoGbMaxExtentSparse', 'vmdk-type'],
    ['split and flat', 'subformat=twoGbMaxExtentFlat', 'vmdk-type'],
  ])('of a vmdk that is %s', async (_name, how, rule) => {
    const { told, dir } = await convert(foreignDisk('vmdk', how), 'vmdk');
    expect(told).toBe(rule);
    expect(readdirSync(dir)).toEqual(['disk']);
  });

  test('of one that is too large, before and after it', async () => {
    expect((await convert(foreignDisk('vdi', ''), 'vdi', { maxVirtualBytes: 2 ** 20 })).told).toBe('virtual-size');
    expect((await convert(foreignDisk('vdi', ''), 'vdi', { maxFileBytes: 2 ** 20 })).told).toBe('file-size');
    const packed = foreignDisk('vmdk', 'subformat=streamOptimized', Buffer.alloc(16 * 2 ** 20, 'text that packs well'));
    const { told, dir } = await convert(packed, 'vmdk', { maxFileBytes: 2 ** 20 });
    expect(told).toBe('file-size');
    expect(readdirSync(dir)).toEqual(['disk']);
  });

  test.each<[string, string, string]>([
    ['dies', 'kill -SEGV $$', 'qemu-check'],
    ['finds errors', 'exit 2', 'qemu-check'],
    ['dies later', '[ "$1" = check ] || kill -SEGV $$', 'qemu-convert'],
    ['hangs', '[ "$1" = check ] || sleep 60', 'qemu-convert'],
    ['fails', '[ "$1" = check ] || { echo no good >&2; exit 1; }', 'qemu-convert'],
  ])('by a qemu-img that %s', async (_name, script, rule) => {
    const { told, dir } = await convert(foreignDisk('vdi', ''), 'vdi', { qemuImg: program(script), timeoutMs: longEnoughToStartMs });
    expect(told).toBe(rule);
    expect(readdirSync(dir)).toEqual(['disk']);
  });

  test('by one that is missing, or when the disk is full: that is not the disk’s fault', async () => {
    await expect(convert(foreignDisk('vdi', ''), 'vdi', { qemuImg: '/no/qemu-img' })).rejects.toThrow(PullProblem);
    const full = convert(foreignDisk('vdi', ''), 'vdi', {
      qemuImg: program('[ "$1" = check ] && exit; echo "x: No space left on device" >&2; exit 1'),
    });
    await expect(full).rejects.toSatisfy((error) => isErrno(error, 'ENOSPC'));
  });

  test('after an abort; no file remains', async () => {
    const controller = new AbortController();
    const hanging = `sleep 60.${randomInt(1e9)}`;
    const qemuImg = program(hanging);
    const run = convert(foreignDisk('vdi', ''), 'vdi', { qemuImg }, controller.signal);
    run.catch(() => undefined); // until it is looked at
    await waitFor(() => processesWith([hanging]).length > 0, { timeoutMs: 20_000, what: 'qemu-img' });
    controller.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
  });

  test('onto a file that exists', async () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'disk'), foreignDisk('vdi', ''), { mode: 0o644 });
    writeFileSync(join(dir, 'qcow2'), 'precious');
    await using disk = await open(join(dir, 'disk'), 'r');
    const run = makeConverter(options).convert(disk, 'vdi', join(dir, 'qcow2'), signal);
    await expect(run).rejects.toSatisfy((error) => isErrno(error, 'EEXIST'));
    expect(existsSync(join(dir, 'qcow2'))).toBe(true);
  });
});

test('what converts a disk cannot change it, though the daemon can', async () => {
  const script = 'echo evil >/proc/self/fd/3 2>/dev/null; echo evil >&3; exit 1';
  const bytes = foreignDisk('vdi', '');
  const { dir } = await convert(bytes, 'vdi', { qemuImg: program(script) });
  expect(execFileSync('cat', [join(dir, 'disk')], { maxBuffer: 2 ** 26 }).equals(bytes)).toBe(true);
});

function program(script: string): string {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const path = join(dir, 'qemu-img');
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && { echo qemu-img version 9.9; exit; }\n${script}\n`, { mode: 0o755 });
  return path;
}
