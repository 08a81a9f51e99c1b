import { chmodSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeConverter } from '../../../../src/images/door/convert.ts';
import { makeDoor } from '../../../../src/images/door/door.ts';
import { Refusal } from '../../../../src/images/failures.ts';
import type { HostileDisk } from '../../../lib/hostile/disk.ts';
import { hostileVdiAndVhdx } from '../../../lib/hostile/vdi-vhdx-disks.ts';
import { hostileVmdk } from '../../../lib/hostile/vmdk-disks.ts';
import { hostileQcow2 } from '../../../lib/hostile/qcow2-disks.ts';
import { tempDir } from '../../../lib/temp.ts';

const options = {
  qemuImg: 'qemu-img',
  user: { uid: 65_534, gid: 65_534 },
  maxFileBytes: 2 ** 30,
  maxVirtualBytes: 2 * 2 ** 40,
  timeoutMs: 20_000,
};
const corpus = [...hostileQcow2, ...hostileVmdk, ...hostileVdiAndVhdx];
const door = makeDoor(options);
const converter = makeConverter({ ...options, maxFileBytes: 64 * 2 ** 20 });

/** Longest that any of them may take, QEMU's time-out and a slow machine included. */
const deadlineMs = 40_000;
/** What judging one may add to the daemon's memory: one cluster, one part of a table, one bit for each cluster, and what is garbage by then. */
const maxGrowthKiB = 48 * 1024;

async function judge(disk: HostileDisk): Promise<{ readonly told: string; readonly message: string; readonly growthKiB: number }> {
  const dir = tempDir();
  const path = join(dir, 'disk');
  writeFileSync(path, disk.make());
  if (disk.fileBytes !== undefined) truncateSync(path, disk.fileBytes);
  chmodSync(path, 0o644);
  await using file = await open(path, 'r');
  const before = process.resourceUsage().maxRSS;
  const signal = AbortSignal.timeout(deadlineMs);
  const outcome = { told: 'passed', message: '' };
  try {
    if (disk.format === 'qcow2' || disk.format === 'raw') await door.inspect(file, disk.format, signal);
    else await (await converter.convert(file, disk.format, join(dir, 'qcow2'), signal)).file.close();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    outcome.told = error.rule;
    outcome.message = error.message;
  }
  return { ...outcome, growthKiB: process.resourceUsage().maxRSS - before };
}

test.each(corpus)('$name as $format: $rule', async (disk) => {
  const { told, message, growthKiB } = await judge(disk);
  expect(`${told} ${message}`).toMatch(new RegExp(`^${disk.rule} `));
  expect(message).toMatch(/^[\x20-\x7e’]{0,500}$/);
  expect(growthKiB).toBeLessThan(maxGrowthKiB);
});

test('each has a name of its own, and what passes has a reason', () => {
  expect(new Set(corpus.map(({ name }) => name)).size).toBe(corpus.length);
  expect(corpus.filter(({ rule, because }) => (rule === 'passed') !== (because !== undefined))).toEqual([]);
});
