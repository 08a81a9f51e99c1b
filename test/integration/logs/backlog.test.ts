import { readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cutNotice } from '../../../src/logs/backlog.ts';
import { waitFor } from '../../lib/wait.ts';
import { startProcess } from './followers.ts';
import { followOne, newConsole, numbered, printed, usedBytes } from './followed-console.ts';

const noticePattern = /^vmlet: (\d+) bytes of console output are left out here/;

test('over the limit the oldest are left out, and the log says exactly how many bytes', async () => {
  const { request, append, follow, lines } = newConsole();
  const maxBacklogBytes = 2 ** 20;
  const early = numbered(0, 10);
  append(printed(early));
  const first = await follow({ maxBacklogBytes });
  await first.finish();
  const waiting = numbered(10, 30_000);
  append(printed(waiting));
  const second = await follow({ maxBacklogBytes });
  await second.finish();

  const notice = lines()[early.length] ?? '';
  const cutBytes = Number(noticePattern.exec(notice)?.[1]);
  const kept = lines().slice(early.length + 1);
  expect(lines().slice(0, early.length)).toEqual(early);
  expect(notice).toBe(cutNotice(cutBytes));
  expect(kept).toEqual(waiting.slice(-kept.length));
  expect(printed(early).length + cutBytes + printed(kept).length).toBe(statSync(request.consoleFile).size);
  expect(printed(kept).length).toBeGreaterThan(maxBacklogBytes * 0.7);
  expect(printed(kept).length).toBeLessThanOrEqual(maxBacklogBytes);
});

test('without a line’s end in sight it is cut where it must', async () => {
  const { append, follow, lines } = newConsole();
  append('x'.repeat(3 * 2 ** 20));
  const console = await follow({ maxBacklogBytes: 2 ** 20 });
  await console.finish();
  expect(lines()).toEqual([cutNotice(2.25 * 2 ** 20), 'x'.repeat(0.75 * 2 ** 20)]);
});

test('exactly the limit may wait', async () => {
  const { append, follow, lines } = newConsole();
  append(`${'x'.repeat(2 ** 20 - 1)}\n`);
  const console = await follow({ maxBacklogBytes: 2 ** 20 });
  await console.finish();
  expect(lines()).toEqual(['x'.repeat(2 ** 20 - 1)]);
});

test('what is in the log is freed, what is not is kept', async () => {
  const { request, append, follow, waitForLines, consoleText } = newConsole();
  const lines = numbered(0, 60_000);
  await follow();
  append(printed(lines));
  append('unfinished\r');
  await waitForLines([...lines, 'unfinished']);
  await waitFor(() => usedBytes(request.consoleFile) < 2 ** 20 + 8_192, { timeoutMs: 20_000, what: 'freed console file' });
  const offset = Number((JSON.parse(readFileSync(request.positionFile, 'utf8')) as { consoleOffset: number }).consoleOffset);
  expect(offset).toBeGreaterThan(4 * 2 ** 20);
  expect(consoleText().slice(offset)).toBe(`${printed(lines)}unfinished\r`.slice(offset));
  expect(consoleText().slice(0, 4_096)).toBe('\0'.repeat(4_096));
  expect(consoleText().length).toBe(printed(lines).length + 11);
});

test('a flood takes no more memory than a trickle', async () => {
  const peakKiB = async (bytes: number): Promise<number> => {
    const { request, append } = newConsole();
    const line = `${'flood '.repeat(20)}\n`;
    append(line.repeat(bytes / line.length));
    const follower = startProcess(request);
    const answer = await follower.ask('finish');
    expect(statSync(request.logFile).size).toBeGreaterThan(bytes);
    return Number(answer.split(' ')[1]);
  };
  const trickle = await peakKiB(2 ** 20);
  const flood = await peakKiB(160 * 2 ** 20);
  expect(flood - trickle).toBeLessThan(48 * 1_024);
});

test('many consoles at once', async () => {
  const consoles = Array.from({ length: 100 }, () => newConsole());
  const lines = numbered(0, 500);
  for (const { append } of consoles) append(printed(lines));
  await Promise.all(consoles.map(async ({ request }) => followOne(request)));
  for (const { append } of consoles) append('another\n');
  await Promise.all(consoles.map(async ({ waitForLines }) => waitForLines([...lines, 'another'])));
  expect(consoles.map((one) => one.entries().length)).toEqual(consoles.map(() => lines.length + 1));
});
