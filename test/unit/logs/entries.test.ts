import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeEntries, encodeNotice, entryHeaderBytes, entryTime, maxBatchEntries, maxContentBytes } from '../../../src/logs/entries.ts';
import type { Rest } from '../../../src/logs/entries.ts';
import { matchEntries } from '../../../src/logs/resume.ts';
import { joinLines, parseLog } from '../../kubelet/cri-log.ts';
import { consoleBytes, linesOf, logOf, readings, time } from './console-bytes.ts';

function encode(text: string, rest: Rest = 'keep'): { entries: string[]; consumed: number } {
  const { log, consumed } = encodeEntries(Buffer.from(text, 'latin1'), time, rest);
  const entries = parseLog(log.toString('latin1')).map((entry) => `${entry.full ? 'F' : 'P'} ${entry.text}`);
  return { entries, consumed };
}

test('an entry is the time, the stream, the tag and the content', () => {
  const { log } = encodeEntries(Buffer.from('hello world\n'), entryTime(1_795_341_000_123), 'keep');
  expect(log.toString()).toBe('2026-11-22T09:50:00.123000000Z stdout F hello world\n');
  expect(log.indexOf('hello')).toBe(entryHeaderBytes);
});

test('a notice is a full entry', () => {
  expect(encodeNotice('vmlet: words', time).toString()).toBe(`${time} stdout F vmlet: words\n`);
});

test.each([
  { text: 'a\nb\n', entries: ['F a', 'F b'], consumed: 4 },
  { text: 'a\r\nb\r\n', entries: ['F a', 'F b'], consumed: 6 },
  { text: '\n\r\n', entries: ['F ', 'F '], consumed: 3 },
  { text: 'progress 1\rprogress 2\n', entries: ['F progress 1\rprogress 2'], consumed: 22 },
  { text: 'a\r\r\n', entries: ['F a\r'], consumed: 4 },
  { text: '\0\xff\x1b[0m\n', entries: ['F \0\xff\x1b[0m'], consumed: 7 },
  { text: '', entries: [], consumed: 0 },
])('$text', ({ text, entries, consumed }) => {
  expect(encode(text)).toEqual({ entries, consumed });
});

describe('a line without its end', () => {
  test.each<{ rest: Rest; text: string; entries: string[]; consumed: number }>([
    { rest: 'keep', text: 'a\nlogin: ', entries: ['F a'], consumed: 2 },
    { rest: 'flush', text: 'a\nlogin: ', entries: ['F a', 'P login: '], consumed: 9 },
    { rest: 'flush', text: 'login: \r', entries: ['P login: '], consumed: 7 },
    { rest: 'flush', text: '\r', entries: [], consumed: 0 },
    { rest: 'all', text: 'login: \r', entries: ['P login: \r'], consumed: 8 },
    { rest: 'all', text: '\r', entries: ['P \r'], consumed: 1 },
  ])('$rest: $text', ({ rest, text, entries, consumed }) => {
    expect(encode(text, rest)).toEqual({ entries, consumed });
  });
});

describe('a long line', () => {
  const x = 'x'.repeat(maxContentBytes);

  test.each([
    { what: 'that just fits', text: `${x}\n`, entries: [`F ${x}`], consumed: maxContentBytes + 1 },
    { what: 'that just fits, with CR LF', text: `${x}\r\n`, entries: [`F ${x}`], consumed: maxContentBytes + 2 },
    { what: 'of one byte more', text: `${x}y\n`, entries: [`P ${x}`, 'F y'], consumed: maxContentBytes + 2 },
    { what: 'of three entries', text: `${x}${x}y\n`, entries: [`P ${x}`, `P ${x}`, 'F y'], consumed: 2 * maxContentBytes + 2 },
    { what: 'whose end may still come', text: x, entries: [], consumed: 0 },
    { what: 'whose CR LF may still come', text: `${x}\r`, entries: [], consumed: 0 },
    { what: 'that goes on', text: `${x}y`, entries: [`P ${x}`], consumed: maxContentBytes },
  ])('$what', ({ text, entries, consumed }) => {
    expect(encode(text)).toEqual({ entries, consumed });
  });
});

test('makes a bounded number of entries at once', () => {
  const { log, consumed } = encodeEntries(Buffer.alloc(3 * maxBatchEntries, '\n'), time, 'all');
  expect(consumed).toBe(maxBatchEntries);
  expect(log.length).toBe(maxBatchEntries * (entryHeaderBytes + 1));
});

test('entries do not depend on how the bytes are cut into calls', () => {
  fc.assert(
    fc.property(consoleBytes, readings, (console, steps) => {
      const keeping = steps.map(({ share }) => ({ share, rest: 'keep' as const }));
      expect(logOf(console, keeping).equals(logOf(console, []))).toBe(true);
    }),
  );
});

test('whatever is flushed when, the joined entries are the console’s lines', () => {
  fc.assert(
    fc.property(consoleBytes, readings, (console, steps) => {
      const entries = parseLog(logOf(console, steps).toString('latin1'));
      expect(joinLines(entries)).toEqual(linesOf(console));
      for (const { text } of entries) expect(text.length).toBeLessThanOrEqual(maxContentBytes);
    }),
  );
});

test.each([
  { what: 'empty lines', text: '\n' },
  { what: 'lines of one byte', text: 'a\r\n' },
  { what: 'one line', text: 'a' },
])('a chunk of $what takes no 20 ms of the event loop, forth or back', ({ text }) => {
  const chunk = Buffer.from(text.repeat(2 ** 18 / text.length));
  const usesMs = Array.from({ length: 5 }, () => {
    const start = process.threadCpuUsage();
    const { log } = encodeEntries(chunk, time, 'keep');
    matchEntries(chunk, log.subarray(0, 2 ** 18));
    const { user, system } = process.threadCpuUsage(start);
    return (user + system) / 1_000;
  });
  expect(Math.min(...usesMs)).toBeLessThan(20);
});
