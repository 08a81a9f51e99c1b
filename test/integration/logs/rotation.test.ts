import { readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { link, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { joinLines } from '../../kubelet/cri-log.ts';
import { runProgram } from '../../../src/lib/run-program.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { startPrinting } from './followers.ts';
import { newConsole, readEntries, signal } from './followed-console.ts';

test('under load, the old logs and the new one together are the console', async () => {
  const { request, follow, entries } = newConsole();
  const console = await follow();
  const printing = startPrinting(request.consoleFile, 10_000);
  const rotated: string[] = [];
  for (let count = 0; count < 20; count += 1) {
    await waitFor(() => statSync(request.logFile).size > 100_000, { timeoutMs: 20_000, what: 'some log', everyMs: 1 });
    const old = `${request.logFile}.${count}`;
    renameSync(request.logFile, old);
    await console.reopen(signal);
    const size = statSync(old).size;
    rotated.push(old);
    expect(statSync(request.logFile).mode & 0o777).toBe(0o640);
    await waitFor(() => statSync(request.logFile).size > 0, { timeoutMs: 20_000, what: 'a line in the new log', everyMs: 1 });
    expect(statSync(old).size).toBe(size);
  }
  const printed = await printing.stop();
  await console.finish();
  const lines = joinLines([...rotated.flatMap(readEntries), ...entries()]);
  expect(lines.length).toBe(printed.length);
  expect(lines.findIndex((line, index) => line !== printed[index])).toBe(-1);
});

test('a log that was not renamed is gone on with', async () => {
  const { request, follow, append, waitForLines } = newConsole();
  const console = await follow();
  append('one\n');
  await waitForLines(['one']);
  await console.reopen(signal);
  append('two\n');
  await waitForLines(['one', 'two']);
  expect(readdirSync(dirname(request.logFile)).toSorted()).toEqual(['0.log', 'console.log', 'console.position']);
});

const target = (): string => {
  const file = join(tempDir(), 'target');
  writeFileSync(file, 'precious\n');
  return file;
};

const traps = [
  { what: 'a link', make: async (path: string) => symlink(target(), path) },
  { what: 'a dangling link', make: async (path: string) => symlink(join(tempDir(), 'missing'), path) },
  { what: 'a second name of a file', make: async (path: string) => link(target(), path) },
  { what: 'a FIFO', make: async (path: string) => runProgram('mkfifo', [path], { signal }) },
];

test.each(traps)('$what is refused as a log', async ({ make }) => {
  const { request, follow } = newConsole();
  await make(request.logFile);
  await expect(follow()).rejects.toMatchObject({ facts: { code: 'INVALID', field: 'log_path' } });
});

test.each(traps)('$what is refused at a rotation, and the old log is kept', async ({ make }) => {
  const { request, follow, append } = newConsole();
  const console = await follow();
  renameSync(request.logFile, `${request.logFile}.1`);
  await make(request.logFile);
  await expect(console.reopen(signal)).rejects.toMatchObject({ facts: { code: 'INVALID', field: 'log_path' } });
  append('still\n');
  await waitFor(() => readEntries(`${request.logFile}.1`).at(-1)?.text === 'still', { timeoutMs: 30_000, what: 'line in the old log' });
});

test('with an aborted signal the caller does not wait', async () => {
  const { follow } = newConsole();
  const console = await follow();
  await expect(console.reopen(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
});
