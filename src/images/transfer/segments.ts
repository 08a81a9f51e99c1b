import { gapsOf, type Interval, type Intervals } from './intervals.ts';

/** Bytes that one connection brings: `from` to before `to`, or to an end that is not known yet. */
export interface Segment {
  readonly from: number;
  readonly to: number | undefined;
}

/**
 * What is to be asked for, in order of position, so that the beginning grows without holes: the gaps of `have`, cut at multiples of `segmentBytes`
 * from their beginnings.
 */
export function segmentsOf(have: Intervals, totalBytes: number, segmentBytes: number): readonly Interval[] {
  return gapsOf(have, totalBytes).flatMap(({ from, to }) =>
    Array.from({ length: Math.ceil((to - from) / segmentBytes) }, (_, index) => {
      const start = from + index * segmentBytes;
      return { from: start, to: Math.min(start + segmentBytes, to) };
    }),
  );
}
