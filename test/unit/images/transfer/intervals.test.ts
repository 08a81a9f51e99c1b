import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  gapsOf,
  isIntervals,
  prefixOf,
  sizeOf,
  withInterval,
  type Interval,
  type Intervals,
} from '../../../../src/images/transfer/intervals.ts';
import { segmentsOf } from '../../../../src/images/transfer/segments.ts';

const total = 60;
const interval = fc.tuple(fc.nat(total), fc.nat(total)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const intervals = fc.array(interval, { maxLength: 12 });

function setOf(list: readonly Interval[]): Intervals {
  return list.reduce(withInterval, [] as Intervals);
}

function bytesOf(list: readonly Interval[]): ReadonlySet<number> {
  return new Set(list.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index)));
}

function sorted(bytes: Iterable<number>): readonly number[] {
  return [...bytes].toSorted((a, b) => a - b);
}

describe('a set of bytes', () => {
  test('holds the bytes of all intervals, in its one form, whatever order they came in', () => {
    fc.assert(
      fc.property(intervals, (list) => {
        const set = setOf(list);
        expect(sorted(bytesOf(set))).toEqual(sorted(bytesOf(list)));
        expect(isIntervals(set, total)).toBe(true);
        expect(set).toEqual(setOf(list.toReversed()));
        expect(sizeOf(set)).toBe(bytesOf(list).size);
      }),
    );
  });

  test('and its gaps are the whole, and share nothing', () => {
    fc.assert(
      fc.property(intervals, (list) => {
        const set = setOf(list);
        const gaps = gapsOf(set, total);
        expect(isIntervals(gaps, total)).toBe(true);
        expect(sizeOf(set) + sizeOf(gaps)).toBe(total);
        expect([...set, ...gaps].reduce(withInterval, [] as Intervals)).toEqual([{ from: 0, to: total }]);
      }),
    );
  });

  test('has the beginning that is whole', () => {
    fc.assert(
      fc.property(intervals, (list) => {
        const bytes = bytesOf(list);
        let prefix = 0;
        while (bytes.has(prefix)) prefix += 1;
        expect(prefixOf(setOf(list))).toBe(prefix);
      }),
    );
  });

  test.each<[Intervals, boolean]>([
    [[], true],
    [[{ from: 0, to: 60 }], true],
    [[{ from: 0, to: 61 }], false],
    [[{ from: 3, to: 3 }], false],
    [[{ from: 4, to: 3 }], false],
    [
      [
        { from: 0, to: 3 },
        { from: 3, to: 5 },
      ],
      false,
    ],
    [
      [
        { from: 4, to: 5 },
        { from: 0, to: 3 },
      ],
      false,
    ],
    [[{ from: Number.NaN, to: 3 }], false],
  ])('%j in its one form: %s', (list, expected) => {
    expect(isIntervals(list, total)).toBe(expected);
  });
});

test('segments are the gaps, in order, none longer than allowed', () => {
  fc.assert(
    fc.property(intervals, fc.integer({ min: 1, max: 70 }), (list, segmentBytes) => {
      const set = setOf(list);
      const segments = segmentsOf(set, total, segmentBytes);
      expect(segments.every(({ from, to }) => from < to && to - from <= segmentBytes)).toBe(true);
      expect(segments.every(({ from }, index) => index === 0 || from >= (segments[index - 1]?.to ?? 0))).toBe(true);
      expect(setOf(segments)).toEqual(gapsOf(set, total));
      expect(sizeOf(segments)).toBe(total - sizeOf(set));
    }),
  );
});
