import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writeDurably } from '../../../src/lib/durable-file.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

function smallFileSystem(): string {
  const dir = tempDir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0755', 'vmlet-test', dir]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', dir]));
  return dir;
}

it('a full file system leaves the old file and no temporary one', async () => {
  const dir = smallFileSystem();
  const file = join(dir, 'record.json');
  await writeDurably(file, 'old');
  await expect(writeDurably(file, Buffer.alloc(2 ** 21))).rejects.toMatchObject({ code: 'ENOSPC' });
  expect([readFileSync(file, 'utf8'), readdirSync(dir)]).toEqual(['old', ['record.json']]);
  await writeDurably(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
});

it('a read-only file system says so and keeps the old file', async () => {
  const dir = smallFileSystem();
  const file = join(dir, 'record.json');
  writeFileSync(file, 'old');
  execFileSync('mount', ['-o', 'remount,ro', dir]);
  await expect(writeDurably(file, 'new')).rejects.toMatchObject({ code: 'EROFS' });
  expect(readFileSync(file, 'utf8')).toBe('old');
});

it('whoever is killed while writing leaves the old file or the new one, whole', async () => {
  const dir = tempDir();
  const file = join(dir, 'record');
  const module = new URL('../../../src/lib/durable-file.ts', import.meta.url).pathname;
  const script = `import { writeDurably } from '${module}';
    for (let n = 0; ; n += 1) await writeDurably('${file}', String(n % 10).repeat(300_000 + (n % 10)));`;
  for (let round = 0; round < 5; round += 1) {
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const writer = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
    const ended = new Promise((resolve) => void writer.once('exit', resolve));
    try {
      await waitFor(() => existsSync(file) && readFileSync(file, 'utf8') !== before, { timeoutMs: 20_000, what: 'a write', everyMs: 1 });
      await delay(round * 7); // another moment of the loop each time
    } finally {
      writer.kill('SIGKILL');
      await ended;
    }
    const text = readFileSync(file, 'utf8');
    const digit = text.slice(0, 1);
    expect(text === digit.repeat(300_000 + Number(digit))).toBe(true);
  }
});
