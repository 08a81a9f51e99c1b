import { expect, test } from 'vitest';
import { bytesToLineStart, cutNotice, cutTarget } from '../../../src/logs/backlog.ts';

test.each([
  { what: 'exactly the limit may wait', offset: 500, size: 1_500, target: undefined },
  { what: 'of one byte more, three quarters of the limit are kept', offset: 500, size: 1_501, target: 751 },
  { what: 'a flood', offset: 0, size: 1_000_000, target: 999_250 },
  { what: 'nothing waits', offset: 7, size: 7, target: undefined },
])('$what', ({ offset, size, target }) => {
  expect(cutTarget({ offset, size, maxBytes: 1_000 })).toBe(target);
});

test.each([
  { what: 'the target is a line’s start', text: '\nnext\n', bytes: 0 },
  { what: 'the target is within a line', text: 'xyz\nnext\n', bytes: 3 },
  { what: 'no line ends within the search', text: 'xyzxyz', bytes: 0 },
])('$what', ({ text, bytes }) => {
  expect(bytesToLineStart(Buffer.from(text))).toBe(bytes);
});

test('the notice says how much is left out', () => {
  expect(cutNotice(1_234)).toContain('1234 bytes');
});
