/** Bytes `from` to before `to`; never empty. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Intervals in order that neither touch nor overlap: there is one such list for each set of bytes. */
export type Intervals = readonly Interval[];

/** The set with one interval more; an empty one adds nothing. Cost: linear in the number of intervals, of which there are few. */
export function withInterval(set: Intervals, added: Interval): Intervals {
  if (added.to <= added.from) return set;
  const before = set.filter(({ to }) => to < added.from);
  const after = set.filter(({ from }) => from > added.to);
  const merged = set.slice(before.length, set.length - after.length);
  const from = Math.min(added.from, merged[0]?.from ?? added.from);
  const to = Math.max(added.to, merged.at(-1)?.to ?? added.to);
  return [...before, { from, to }, ...after];
}

/** Number of bytes in the set. */
export function sizeOf(set: Intervals): number {
  return set.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** End of the beginning that is whole: 0 when byte 0 is missing. */
export function prefixOf(set: Intervals): number {
  const [first] = set;
  return first?.from === 0 ? first.to : 0;
}

/** What is missing of the first `totalBytes`. */
export function gapsOf(set: Intervals, totalBytes: number): Intervals {
  const ends = [0, ...set.map(({ to }) => to)];
  const starts = [...set.map(({ from }) => from), totalBytes];
  return ends.map((from, index) => ({ from, to: Math.min(starts[index] ?? totalBytes, totalBytes) })).filter(({ from, to }) => from < to);
}

/** Whether a list is in the one form that a set has, within the first `totalBytes`. */
export function isIntervals(list: Intervals, totalBytes: number): boolean {
  let end = -1;
  for (const { from, to } of list) {
    if (!(from > end && from < to && to <= totalBytes)) return false;
    end = to;
  }
  return true;
}
