import { readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { cutNotice } from '../../../src/logs/backlog.ts';
import { encodeEntries, encodeNotice, entryTime } from '../../../src/logs/entries.ts';
import { writePosition, type Position } from '../../../src/logs/position.ts';
import { newConsole, numbered, printed, type FollowedConsole } from './followed-console.ts';

const time = entryTime(Date.UTC(2026, 0, 1));

function inodeOf(file: string): string {
  return String(statSync(file, { bigint: true }).ino);
}

async function notePosition(one: FollowedConsole, position: Partial<Position>): Promise<void> {
  const { logFile, positionFile } = one.request;
  await writePosition(positionFile, { consoleOffset: 0, logInode: inodeOf(logFile), logSize: 0, cutBytes: 0, ...position });
}

async function followToEnd(one: FollowedConsole): Promise<void> {
  const console = await one.follow();
  await console.finish();
}

test('a follower that was killed when any byte of the log was the last', async () => {
  const one = newConsole();
  const lines = ['first', '', 'a\rb', 'cut here', 'last'];
  one.append('first\n\r\na\rb\r\ncut here\nlast');
  const log = encodeEntries(Buffer.from(one.consoleText()), time, 'all').log;
  for (let size = 0; size <= log.length; size += 1) {
    writeFileSync(one.request.logFile, log.subarray(0, size));
    await notePosition(one, {});
    await followToEnd(one);
    expect(one.lines()).toEqual(lines);
  }
});

test('a follower that was killed while it cut the backlog, at any byte of the notice', async () => {
  const one = newConsole();
  one.append('logged\nleft out\nkept\n');
  const known = encodeEntries(Buffer.from('logged\n'), time, 'keep').log;
  const rest = Buffer.concat([encodeNotice(cutNotice(9), time), encodeEntries(Buffer.from('kept\n'), time, 'keep').log]);
  for (let size = 0; size <= rest.length; size += 1) {
    writeFileSync(one.request.logFile, Buffer.concat([known, rest.subarray(0, size)]));
    await notePosition(one, { consoleOffset: 16, logSize: known.length, cutBytes: 9 });
    await followToEnd(one);
    expect(one.lines()).toEqual(['logged', cutNotice(9), 'kept']);
  }
});

test('more than one window behind the position', async () => {
  const one = newConsole();
  const lines = numbered(0, 40_000);
  one.append(printed(lines));
  await followToEnd(one);
  const { size } = statSync(one.request.logFile);
  expect(size).toBeGreaterThan(4 * 2 ** 20);
  await notePosition(one, {});
  // The freed part of the console reads as zeros, so what is matched is written again.
  writeFileSync(one.request.consoleFile, printed(lines));
  truncateSync(one.request.logFile, size - 3);
  await followToEnd(one);
  expect(one.lines()).toEqual(lines);
});

describe('a log that was renamed', () => {
  test('before the new one was opened: what it has is known, new lines go into the new log', async () => {
    const one = newConsole();
    one.append('one\ntwo\n');
    await followToEnd(one);
    await notePosition(one, {});
    const old = `${one.request.logFile}.20261122-095000`;
    renameSync(one.request.logFile, old);
    truncateSync(old, statSync(old).size - 2); // the last entry was torn
    await followToEnd(one);
    expect(readFileSync(old, 'latin1').split('\n')).toHaveLength(2);
    expect(one.lines()).toEqual(['two']);
  });

  test('and removed: following goes on at the position', async () => {
    const one = newConsole();
    one.append('one\n');
    await followToEnd(one);
    rmSync(one.request.logFile);
    one.append('two\n');
    await followToEnd(one);
    expect(one.lines()).toEqual(['two']);
  });

  test('another file that has its inode number is left as it is', async () => {
    const one = newConsole();
    const compressed = Buffer.from('1f8b0800', 'hex');
    const other = `${one.request.logFile}.20261122-095000.gz`;
    writeFileSync(other, compressed);
    writeFileSync(one.request.logFile, '');
    one.append('one\n');
    await notePosition(one, { logInode: inodeOf(other) });
    await followToEnd(one);
    expect(readFileSync(other).equals(compressed)).toBe(true);
    expect(one.lines()).toEqual(['one']);
  });
});

describe('a log with what is not of this console', () => {
  test('behind the position: what is there stays, the console goes on behind it, and a warning tells', async () => {
    const one = newConsole();
    one.append('one\n');
    await followToEnd(one);
    writeFileSync(one.request.logFile, encodeNotice('somebody else', time), { flag: 'a' });
    one.append('two\n');
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_facts: object, message: string) => void warnings.push(message), child: () => log };
    const console = await one.follow({}, log);
    await console.finish();
    expect(one.lines()).toEqual(['one', 'somebody else', 'two']);
    expect(warnings).toEqual(['the log does not tell for certain what of the console it has']);
  });

  test('from an earlier time, without a position', async () => {
    const one = newConsole();
    writeFileSync(one.request.logFile, encodeNotice('earlier', time));
    one.append('one\n');
    await followToEnd(one);
    await followToEnd(one);
    expect(one.lines()).toEqual(['earlier', 'one']);
  });
});

describe('a position file that cannot be read', () => {
  test.each(['', '{', '{"version":2}', '\0\0'])('%j: the log tells', async (text) => {
    const one = newConsole();
    one.append('one\ntwo\n');
    await followToEnd(one);
    writeFileSync(one.request.positionFile, text);
    one.append('three\n');
    await followToEnd(one);
    expect(one.lines()).toEqual(['one', 'two', 'three']);
  });

  test('and a log that was rotated: nothing is doubled, and the log says that lines may be missing', async () => {
    const one = newConsole();
    one.append('one\n');
    await followToEnd(one);
    renameSync(one.request.logFile, `${one.request.logFile}.1`);
    one.append('two\n');
    await followToEnd(one);
    writeFileSync(one.request.positionFile, '{');
    one.append('three\n');
    const console = await one.follow();
    one.append('four\n');
    await console.finish();
    expect(one.lines()).toEqual(['two', cutNotice(14), 'four']);
  });
});
