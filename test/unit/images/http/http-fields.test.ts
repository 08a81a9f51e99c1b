import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseContentLength, parseContentRange, parseRetryAfter } from '../../../../src/images/http/http-fields.ts';

describe('Content-Range', () => {
  test.each([
    ['bytes 0-9/100', { from: 0, to: 10, totalBytes: 100 }],
    ['Bytes 5-5/*', { from: 5, to: 6, totalBytes: undefined }],
    [' bytes 0-0/1 ', { from: 0, to: 1, totalBytes: 1 }],
    ['bytes 0-9/9', undefined],
    ['bytes 9-0/100', undefined],
    ['bytes */100', undefined],
    ['bytes=0-9/100', undefined],
    ['items 0-9/100', undefined],
    ['bytes -1-9/100', undefined],
    ['bytes 0-9/1e9', undefined],
    [`bytes 0-9/${'9'.repeat(20)}`, undefined],
    [undefined, undefined],
  ])('%s', (text, expected) => {
    expect(parseContentRange(text)).toEqual(expected);
  });

  test('of any text is a range within its whole, or none', () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^bytes [0-9]{1,20}-[0-9]{1,20}\/([0-9]{1,20}|\*)$/));
    fc.assert(
      fc.property(texts, (text) => {
        const range = parseContentRange(text);
        if (!range) return;
        expect(range.from).toBeLessThan(range.to);
        expect(range.to).toBeLessThanOrEqual(range.totalBytes ?? Number.MAX_SAFE_INTEGER);
      }),
    );
  });
});

test.each([
  ['0', 0],
  ['12', 12],
  ['-1', undefined],
  ['1, 1', undefined],
  ['', undefined],
  [undefined, undefined],
])('Content-Length %j', (text, expected) => {
  expect(parseContentLength(text)).toBe(expected);
});

describe('Retry-After', () => {
  const now = Date.parse('Tue, 24 Nov 2026 12:00:00 GMT');
  test.each([
    ['120', 120_000],
    ['0', 0],
    ['Tue, 24 Nov 2026 12:00:30 GMT', 30_000],
    ['Tue, 24 Nov 2026 11:00:00 GMT', 0],
    ['Tuesday, 24-Nov-26 12:00:05 GMT', 5000],
    ['-5', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j', (text, expected) => {
    expect(parseRetryAfter(text, now)).toBe(expected);
  });
});
