import { existsSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { makeLogs } from '../../../src/logs/logs.ts';
import { waitFor } from '../../lib/wait.ts';
import { followOne, newConsole, numbered, printed, signal, usedBytes } from './followed-console.ts';

function target(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return 'closed meanwhile';
  }
}

const slow = { idleMs: 120_000 }; // what arrives in time was not found by looking now and then

test('follows what is appended, as it comes, into a log of mode 0640', async () => {
  const { request, append, follow, entries, waitForLines } = newConsole();
  const before = Date.now();
  append('early\r\n');
  await follow({ times: slow });
  expect(statSync(request.logFile).mode & 0o777).toBe(0o640);
  await waitForLines(['early']);
  append('half a ');
  append('line\nand');
  append(' more\n');
  await waitForLines(['early', 'half a line', 'and more']);
  for (const { full, stream, time } of entries()) {
    expect([full, stream]).toEqual([true, 'stdout']);
    expect(Date.parse(time)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(time)).toBeLessThanOrEqual(Date.now());
  }
});

test('waits for a console file that is not there yet', async () => {
  const { append, follow, waitForLines, lines } = newConsole();
  await follow({ pollMs: 20, times: slow });
  expect(lines()).toEqual([]);
  append('late\n');
  await waitForLines(['late']);
  append('and watched from then on\n');
  await waitForLines(['late', 'and watched from then on']);
});

test('makes the directories of the log', async () => {
  const { request } = newConsole();
  const logFile = request.logFile.replace('0.log', 'pod/container/0.log');
  await followOne({ ...request, logFile });
  expect(existsSync(logFile)).toBe(true);
});

test('an unfinished line is written when it is quiet, and goes on', async () => {
  const { append, follow, entries, waitForLines } = newConsole();
  await follow({ times: slow });
  append('login: ');
  await waitForLines(['login: ']);
  append('root\n');
  await waitForLines(['login: root']);
  expect(entries().map(({ full, text }) => [full, text])).toEqual([
    [false, 'login: '],
    [true, 'root'],
  ]);
});

test('discards without a log, and still frees', async () => {
  const { request, append, consoleText } = newConsole();
  const console = await followOne({ ...request, logFile: undefined });
  append(printed(numbered(0, 60_000)));
  const size = consoleText().length;
  await waitFor(() => usedBytes(request.consoleFile) < 2 ** 20 + 8_192, { timeoutMs: 20_000, what: 'freed console file' });
  await console.finish();
  expect(statSync(request.consoleFile).size).toBe(size);
  expect(readdirSync(dirname(request.consoleFile)).toSorted()).toEqual(['console.log', 'console.position']);
});

describe('ends', () => {
  test('finish writes all, an unfinished line too, and twice is fine', async () => {
    const { append, follow, entries, lines } = newConsole();
    const console = await follow();
    const all = numbered(0, 30_000);
    append(printed(all));
    append('the end\r');
    await Promise.all([console.finish(), console.finish()]);
    expect(lines()).toEqual([...all, 'the end\r']);
    expect(entries().at(-1)?.full).toBe(false);
    await console.finish();
    await console.pause();
    await expect(console.reopen(signal)).rejects.toThrow('not followed any more');
    append('unheard\n');
    expect(lines().at(-1)).toBe('the end\r');
  });

  test('pause leaves the rest to a later follow, and twice is fine', async () => {
    const { append, follow, lines } = newConsole();
    const all = numbered(0, 200_000);
    append(printed(all));
    const first = await follow();
    await waitFor(() => lines().length > 0, { timeoutMs: 30_000, what: 'first line', everyMs: 1 });
    await Promise.all([first.pause(), first.pause()]);
    await first.finish();
    const part = lines();
    expect(part).toEqual(all.slice(0, part.length));
    expect(part.length).toBeLessThan(all.length);
    const second = await follow();
    await second.finish();
    expect(lines()).toEqual(all);
  });

  test('without any console file', async () => {
    const { follow, lines } = newConsole();
    const console = await follow();
    await console.finish();
    expect(lines()).toEqual([]);
  });

  test('no file stays open', async () => {
    const { request, append, follow } = newConsole();
    const open = (): string[] => readdirSync('/proc/self/fd').map(target).toSorted();
    append('line\n');
    const console = await follow();
    renameSync(request.logFile, `${request.logFile}.1`);
    await console.reopen(signal);
    expect(open().filter((path) => path.startsWith(dirname(request.logFile)))).toEqual([request.logFile, request.consoleFile]);
    await console.finish();
    expect(open().filter((path) => path.startsWith(dirname(request.logFile)))).toEqual([]);
  });
});

describe('a console file that is emptied by hand', () => {
  test('is read from its start', async () => {
    const { request, append, follow, waitForLines } = newConsole();
    await follow({ times: { idleMs: 20 } });
    append('a long line before\n');
    await waitForLines(['a long line before']);
    rmSync(request.positionFile); // what is noted next is the whole position again
    truncateSync(request.consoleFile, 0);
    await waitFor(() => existsSync(request.positionFile), { timeoutMs: 30_000, what: 'position of the emptied file' });
    append('after\n');
    await waitForLines(['a long line before', 'after']);
    expect(JSON.parse(readFileSync(request.positionFile, 'utf8'))).toMatchObject({ consoleOffset: 0 });
  });
});

test('follow with an aborted signal does nothing', async () => {
  const { request } = newConsole();
  const logs = makeLogs({ maxBacklogBytes: 2 ** 20 }, { log: silentLog });
  await expect(logs.follow(request, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  expect(existsSync(request.logFile)).toBe(false);
});
