import { existsSync, renameSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ConsoleLogRequest } from '../../../src/logs/logs.ts';
import { joinLines } from '../../kubelet/cri-log.ts';
import { startPrinting, startProcess } from './followers.ts';
import { newConsole, readEntries, usedBytes } from './followed-console.ts';

test(
  'followers that are killed at any moment lose no line and double none, also when logs are rotated meanwhile',
  { timeout: 300_000 },
  async () => {
    const { request, follow, entries } = newConsole();
    const rotated: string[] = [];
    // Up to this after its start, a follower is killed: from before it follows to well into it.
    const longestLifeMs = 3 * (await startMs(request));
    const printing = startPrinting(request.consoleFile, 14_000_000 / longestLifeMs); // as much in all on a slow machine
    let following = 0;
    for (let life = 0; life < 16; life += 1) {
      const follower = startProcess(request);
      void follower.ready.then(() => (following += 1)).catch(() => undefined);
      const rotates = life % 2 === 1;
      await delay(Math.random() * longestLifeMs);
      if (rotates && existsSync(request.logFile)) {
        const name = `${request.logFile}.2026-${String(rotated.length).padStart(2, '0')}`;
        renameSync(request.logFile, name);
        rotated.push(name);
        void follower.ask('reopen').catch(() => undefined); // it may be killed before, in the middle, or after
        await delay(Math.random() * 20);
      }
      await follower.kill();
    }
    const printed = await printing.stop();
    const last = await follow();
    await last.finish();

    expect(following).toBeGreaterThan(2);
    expect(rotated.length).toBeGreaterThan(0);
    const lines = joinLines([...rotated.flatMap(readEntries), ...entries()]);
    expect(lines.length).toBe(printed.length);
    expect(lines.findIndex((line, index) => line !== printed[index])).toBe(-1);
    expect(statSync(request.consoleFile).size).toBeGreaterThan(20 * 2 ** 20);
    expect(usedBytes(request.consoleFile)).toBeLessThan(statSync(request.consoleFile).size);
  },
);

/** How long a follower needs until it follows, on this machine now. */
async function startMs(request: ConsoleLogRequest): Promise<number> {
  const start = performance.now();
  const { ready, kill } = startProcess(request);
  await ready;
  await kill();
  return performance.now() - start;
}

test('a follower that is killed soon after a rotation is taken up in the new log', async () => {
  const { request, append, follow, waitForLines, lines } = newConsole();
  const follower = startProcess(request);
  await follower.ready;
  append('old\n');
  await waitForLines(['old']);
  renameSync(request.logFile, `${request.logFile}.1`);
  await follower.ask('reopen');
  append('new\n');
  await waitForLines(['new']);
  await follower.kill();
  const last = await follow();
  await last.finish();
  expect(lines()).toEqual(['new']);
});
