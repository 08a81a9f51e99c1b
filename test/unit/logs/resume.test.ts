import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeEntries, encodeNotice, maxContentBytes } from '../../../src/logs/entries.ts';
import { isTornEntry, matchEntries, matchNotice } from '../../../src/logs/resume.ts';
import { joinLines, parseLog } from '../../kubelet/cri-log.ts';
import { consoleBytes, linesOf, logOf, readings, time } from './console-bytes.ts';

test('a log that is cut at any byte is taken up without loss or repetition', () => {
  fc.assert(
    fc.property(consoleBytes, readings, fc.double({ min: 0, max: 1, noNaN: true }), (console, steps, share) => {
      const log = logOf(console, steps);
      const cutLog = log.subarray(0, Math.floor(share * log.length));
      const { consumed, kept, stop } = matchEntries(console, cutLog);
      expect(stop).toBe(kept === cutLog.length ? 'end' : 'torn');
      expect(isTornEntry(cutLog.subarray(kept))).toBe(true);
      const mended = Buffer.concat([cutLog.subarray(0, kept), logOf(console.subarray(consumed), [])]);
      expect(joinLines(parseLog(mended.toString('latin1')))).toEqual(linesOf(console));
    }),
    { numRuns: 500 },
  );
});

test('a whole log matches the whole console', () => {
  fc.assert(
    fc.property(consoleBytes, readings, (console, steps) => {
      const log = logOf(console, steps);
      expect(matchEntries(console, log)).toEqual({ consumed: console.length, kept: log.length, stop: 'end' });
    }),
  );
});

describe('what is not in the console', () => {
  const log = encodeEntries(Buffer.from('one\ntwo\n'), time, 'all').log;
  const one = log.length / 2;

  test.each([
    { what: 'an entry beyond it', console: 'one\n', stop: 'more' },
    { what: 'an entry that lacks its end there', console: 'one\ntwo', stop: 'more' },
    { what: 'another line', console: 'one\nTWO\n', stop: 'foreign' },
    { what: 'a longer line', console: 'one\ntwo three\n', stop: 'foreign' },
  ])('$what', ({ console, stop }) => {
    expect(matchEntries(Buffer.from(console), log)).toEqual({ consumed: 4, kept: one, stop });
  });

  test.each(['no entry\n', `${time} stderr F one\n`, '\n'])('a line of another kind: %j', (line) => {
    expect(matchEntries(Buffer.from('one\n'), Buffer.from(line))).toEqual({ consumed: 0, kept: 0, stop: 'foreign' });
  });
});

describe('a torn entry', () => {
  const entry = `${time} stdout P ${'x'.repeat(maxContentBytes)}`;

  test('is the beginning of one, of any length', () => {
    for (const length of [0, 1, 10, 20, 30, 36, 37, 38, 39, 40, 41, entry.length]) {
      expect(isTornEntry(Buffer.from(entry.slice(0, length)))).toBe(true);
    }
  });

  test.each([`${entry}x`, '\x1f\x8b\x08', 'words', `${time} stdout X`, `${time} stderr`])('is not: %j', (text) => {
    expect(isTornEntry(Buffer.from(text, 'latin1'))).toBe(false);
  });
});

test('a notice is found as the first entry only, whole, whatever its time', () => {
  const notice = encodeNotice('words', '2026-01-01T00:00:00.000000000Z');
  const other = encodeNotice('others', time);
  expect(matchNotice(Buffer.concat([notice, other]), 'words')).toBe(notice.length);
  expect(matchNotice(Buffer.concat([other, notice]), 'words')).toBe(0);
  expect(matchNotice(notice.subarray(0, -1), 'words')).toBe(0);
  expect(matchNotice(Buffer.from(notice.toString().replace(' F ', ' P ')), 'words')).toBe(0);
  expect(matchNotice(Buffer.alloc(0), 'words')).toBe(0);
});
