import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Intervals } from '../../../../src/images/transfer/intervals.ts';
import { withInterval } from '../../../../src/images/transfer/intervals.ts';
import { decodeJournal, encodeJournal, fits, maxJournalBytes, type Journal } from '../../../../src/images/transfer/journal.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const journal: Journal = {
  identity: { totalBytes: 1000, validators: { etag: '"a"', lastModified: 'Tue, 24 Nov 2026 12:00:00 GMT' }, expectedDigest: digest },
  durable: [
    { from: 0, to: 10 },
    { from: 20, to: 1000 },
  ],
};

function decode(text: string): Journal | undefined {
  return decodeJournal(new TextEncoder().encode(text));
}

describe('a journal', () => {
  test('is read as it was written', () => {
    expect(decode(encodeJournal(journal))).toEqual(journal);
    const size = fc.integer({ min: 1, max: 2 ** 50 });
    fc.assert(
      fc.property(size, fc.array(fc.tuple(fc.double({ min: 0, max: 1 }), fc.double({ min: 0, max: 1 }))), (totalBytes, pairs) => {
        const at = (share: number): number => Math.floor(share * totalBytes) || 0;
        const durable = pairs.reduce<Intervals>(
          (set, [a, b]) => withInterval(set, { from: Math.min(at(a), at(b)), to: Math.max(at(a), at(b)) }),
          [],
        );
        const some: Journal = { identity: { totalBytes, validators: {}, expectedDigest: digest }, durable };
        expect(decode(encodeJournal(some))).toEqual(some);
      }),
    );
  });

  test('of very many pieces is cut to what is read', () => {
    const durable = Array.from({ length: 10_000 }, (_, index) => ({ from: 2 * index + 2 ** 52, to: 2 * index + 1 + 2 ** 52 }));
    const text = encodeJournal({ ...journal, identity: { ...journal.identity, totalBytes: 2 ** 53 - 1 }, durable });
    expect(text.length).toBeLessThan(maxJournalBytes);
    expect(decode(text)?.durable).toEqual(durable.slice(0, 4096));
  });

  const text = encodeJournal(journal);
  test.each([
    ['another version', text.replace('"version":1', '"version":2')],
    ['an unknown key', text.replace('{', '{"more":1,')],
    ['bytes behind the end', text.replace('[20,1000]', '[20,1001]')],
    ['intervals out of order', text.replace('[0,10],[20,1000]', '[20,1000],[0,10]')],
    ['intervals that overlap', text.replace('[20,1000]', '[9,1000]')],
    ['an empty interval', text.replace('[0,10]', '[10,10]')],
    ['a fraction', text.replace('[0,10]', '[0,10.5]')],
    ['no size', text.replace('"totalBytes":1000', '"totalBytes":0')],
    ['a size that no number holds', text.replace('"totalBytes":1000', '"totalBytes":1e300')],
    ['a tag with a line break', text.replace(String.raw`"\"a\""`, String.raw`"\"a\n\""`)],
    ['a weak tag', text.replace(String.raw`"\"a\""`, String.raw`"W/\"a\""`)],
    ['a digest that is none', text.replace('sha256:', 'md5:')],
    ['half of it', text.slice(0, 40)],
    ['nothing', ''],
    ['much more than a journal', `${text}${' '.repeat(maxJournalBytes)}`],
    ['a deep nest', '['.repeat(100_000)],
  ])('with %s means to begin from nothing', (_name, changed) => {
    expect(changed).not.toBe(text);
    expect(decode(changed)).toBeUndefined();
  });

  test('of any bytes throws nothing, and claims no more than the whole', () => {
    const like = fc
      .record({
        version: fc.constantFrom(1, 2),
        totalBytes: fc.oneof(fc.integer(), fc.double()),
        durable: fc.array(fc.tuple(fc.integer(), fc.integer())),
        etag: fc.option(fc.string(), { nil: undefined }),
      })
      .map((value) => new TextEncoder().encode(JSON.stringify(value)));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          like,
          fc.json().map((json) => new TextEncoder().encode(json)),
        ),
        (bytes) => {
          const read = decodeJournal(bytes);
          const total = read?.identity.totalBytes ?? 0;
          expect(read?.durable.every(({ from, to }) => from >= 0 && from < to && to <= total) ?? true).toBe(true);
        },
      ),
    );
  });
});

describe('a journal counts', () => {
  const of = (identity: Partial<Journal['identity']>): Journal => ({ ...journal, identity: { ...journal.identity, ...identity } });
  test.each([
    ['for the same digest and size', journal, { expectedDigest: digest, totalBytes: 1000 }, true],
    ['for a size that is not known', journal, { expectedDigest: digest, totalBytes: undefined }, true],
    ['not for another size', journal, { expectedDigest: digest, totalBytes: 1001 }, false],
    ['not for more than is allowed', journal, { expectedDigest: digest, totalBytes: undefined, maxBytes: 999 }, false],
    ['not for another digest', journal, { expectedDigest: `sha256:${'0'.repeat(64)}`, totalBytes: 1000 }, false],
    ['not without the digest', journal, { expectedDigest: undefined, totalBytes: 1000 }, false],
    ['for a tag', of({ expectedDigest: undefined }), { expectedDigest: undefined, totalBytes: undefined }, true],
    [
      'not where nothing tells its bytes',
      of({ expectedDigest: undefined, validators: {} }),
      { expectedDigest: undefined, totalBytes: undefined },
      false,
    ],
  ])('%s', (...[, some, wanted, expected]) => {
    expect(fits(some, { maxBytes: 1000, ...wanted })).toBe(expected);
  });
});
