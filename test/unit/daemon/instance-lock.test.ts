import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockInstance } from '../../../src/daemon/instance-lock.ts';
import { identify } from '../../../src/lib/helper-process.ts';
import { tempDir } from '../../lib/temp.ts';

describe('the lock of a state directory', () => {
  it('keeps a second daemon out and lets a successor in', async () => {
    const dir = join(tempDir(), 'state');
    const first = await lockInstance(dir);
    await expect(lockInstance(dir)).rejects.toThrow(`another vmlet (pid ${process.pid}) uses the state directory ${dir}`);
    await first[Symbol.asyncDispose]();
    await using _second = await lockInstance(dir);
    expect(existsSync(join(dir, 'daemon.lock'))).toBe(true);
  });

  it.each([
    ['a daemon that was killed', JSON.stringify({ pid: 999_999_999, startTicks: '1' })],
    ['a process that only has its pid', JSON.stringify({ pid: 1, startTicks: '-1' })],
    ['a writer that was killed half-way', '{"pid":'],
  ])('is taken over from %s', async (_name, content) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'daemon.lock'), content);
    await using _lock = await lockInstance(dir);
    await expect(lockInstance(dir)).rejects.toThrow(String(identify(process.pid)?.pid));
  });
});
