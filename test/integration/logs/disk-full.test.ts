import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import { isErrno } from '../../../src/lib/errno.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { newConsole, numbered, printed, signal, usedBytes } from './followed-console.ts';

const quick = { retryMs: 20, finishMs: 200 };
const wait = { timeoutMs: 20_000, everyMs: 10 };

function smallFileSystem(): string {
  const dir = tempDir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'vmlet-test', dir]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', dir]));
  return dir;
}

/** Takes all space but `leaveBytes`; answers how to give it back. */
function fill(dir: string, leaveBytes = 0): () => void {
  const ballast = join(dir, 'ballast');
  try {
    for (;;) writeFileSync(ballast, Buffer.alloc(4_096), { flag: 'a' });
  } catch (error) {
    if (!isErrno(error, 'ENOSPC')) throw error;
  }
  if (leaveBytes > 0) execFileSync('truncate', ['--size', `-${leaveBytes}`, ballast]);
  return () => rmSync(ballast);
}

function listening(): { readonly log: Log; readonly heard: string[] } {
  const heard: string[] = [];
  const hear = (_facts: object, message: string): void => void heard.push(message);
  const log: Log = { ...silentLog, error: hear, info: hear, child: () => log };
  return { log, heard };
}

const troubled = 'console output cannot be logged now; it waits in the console file';
const again = 'console output can be logged again';

test('a log that cannot grow has whole entries, and all of the rest when there is space again', async () => {
  const logDir = smallFileSystem();
  const { append, follow, entries, lines, waitForLines } = newConsole({ logDir });
  const { log, heard } = listening();
  await follow({ times: quick }, log);
  const empty = fill(logDir, 100_000);
  const all = numbered(0, 10_000);
  append(printed(all));
  await waitFor(() => heard.includes(troubled), { ...wait, what: 'full disk' });
  const part = lines();
  expect(part.length).toBeGreaterThan(100);
  expect(part).toEqual(all.slice(0, part.length));
  expect(entries().every(({ full }) => full)).toBe(true);
  empty();
  await waitForLines(all);
  await waitFor(() => heard.length === 2, { ...wait, what: 'word that it works again' });
  expect(heard).toEqual([troubled, again]);
});

test('a follower that ends while the disk is full leaves the rest to the next one', async () => {
  const logDir = smallFileSystem();
  const { append, follow, waitForLines, lines } = newConsole({ logDir });
  const { log, heard } = listening();
  const first = await follow({ times: quick }, log);
  const empty = fill(logDir, 50_000);
  const all = numbered(0, 10_000);
  append(printed(all));
  await waitFor(() => heard.includes(troubled), { ...wait, what: 'full disk' });
  await first.pause();
  empty();
  await follow({ times: quick });
  await waitForLines(all);
  expect(lines().length).toBe(all.length);
});

test('finish says DISK_FULL, goes on trying, and is fine when asked again', async () => {
  const logDir = smallFileSystem();
  const { request, append, follow, waitForLines } = newConsole({ logDir });
  const console = await follow({ times: quick });
  const empty = fill(logDir);
  append('one\ntwo\nthe end');
  await expect(console.finish()).rejects.toMatchObject({ facts: { code: 'DISK_FULL', path: request.logFile } });
  empty();
  await waitForLines(['one', 'two', 'the end']);
  await console.finish();
});

test('a pause does not wait for space', async () => {
  const logDir = smallFileSystem();
  const { append, follow } = newConsole({ logDir });
  const console = await follow({ times: { retryMs: 600_000, finishMs: 600_000 } });
  fill(logDir);
  append('one\n');
  const [finished, paused] = await Promise.allSettled([console.finish(), console.pause()]);
  expect(finished).toMatchObject({ status: 'rejected', reason: { facts: { code: 'DISK_FULL' } } });
  expect(paused.status).toBe('fulfilled');
});

test('a log is rotated out of a full file system', async () => {
  const logDir = smallFileSystem();
  const { request, append, follow, waitForLines } = newConsole({ logDir });
  const { log, heard } = listening();
  const console = await follow({ times: quick }, log);
  fill(logDir);
  append('one\n');
  await waitFor(() => heard.includes(troubled), { ...wait, what: 'full disk' });
  renameSync(request.logFile, `${request.logFile}.1`);
  await console.reopen(signal);
  rmSync(join(logDir, 'ballast'));
  await waitForLines(['one']);
  expect(readFileSync(`${request.logFile}.1`, 'latin1')).toBe('');
});

test('a backlog that grows meanwhile is cut, more than once, and the one notice has the sum', async () => {
  const logDir = smallFileSystem();
  const { request, append, follow, lines } = newConsole({ logDir });
  const { log, heard } = listening();
  const maxBacklogBytes = 2 ** 20;
  const console = await follow({ maxBacklogBytes, times: quick }, log);
  const empty = fill(logDir);
  append(printed(numbered(0, 5)));
  await waitFor(() => heard.includes(troubled), { ...wait, what: 'full disk' });
  const offset = (): number => (JSON.parse(readFileSync(request.positionFile, 'utf8')) as { consoleOffset: number }).consoleOffset;
  for (let round = 0; round < 3; round += 1) {
    const before = offset();
    append(printed(numbered(round * 15_000, 15_000)));
    await waitFor(() => offset() > before, { ...wait, what: 'cut' });
  }
  await waitFor(() => usedBytes(request.consoleFile) < 3 * 2 ** 20, { ...wait, what: 'freed console file' });
  empty();
  await console.finish();
  const [notice = '', ...kept] = lines();
  const cutBytes = Number(/(\d+) bytes/.exec(notice)?.[1]);
  expect(kept).toEqual(numbered(0, 45_000).slice(-kept.length));
  expect(cutBytes + printed(kept).length).toBe(statSync(request.consoleFile).size);
});

test('a full file system under the position does not keep the console from being freed', async () => {
  const stateDir = smallFileSystem();
  const { request, append, follow, waitForLines, lines } = newConsole({ consoleDir: stateDir, positionDir: stateDir });
  const console = await follow({ times: quick });
  const all = numbered(0, 20_000);
  await console.pause();
  append(printed(all));
  fill(stateDir);
  await follow({ times: quick });
  await waitForLines(all);
  await waitFor(() => usedBytes(request.consoleFile) < 2 ** 20 + 8_192, { ...wait, what: 'freed console file' });
  expect(lines().length).toBe(all.length);
});

describe('follow says DISK_FULL', () => {
  test('when the position cannot be noted', async () => {
    const positionDir = smallFileSystem();
    fill(positionDir);
    const { request, follow } = newConsole({ positionDir });
    await expect(follow()).rejects.toMatchObject({ facts: { code: 'DISK_FULL', path: request.positionFile } });
  });

  test('when the log cannot be made', async () => {
    const logDir = smallFileSystem();
    execFileSync('mount', ['-o', 'remount,nr_inodes=1', logDir]);
    const { request, follow } = newConsole({ logDir });
    await expect(follow()).rejects.toMatchObject({ facts: { code: 'DISK_FULL', path: request.logFile } });
  });
});
