import type { Pressure, Stall, Throttling } from '../model/statistics.ts';

/** The texts of a group's files by name, without white space around them; a file that is not there has no entry. */
export type GroupTexts = ReadonlyMap<string, string>;

/** Lines "key value" of unsigned numbers (memory.stat, cpu.stat, ...); other lines are left out. */
export function parseKeyed(text: string): ReadonlyMap<string, bigint> {
  const pairs = text.matchAll(/^(\S+) ([0-9]+)$/gm);
  return new Map([...pairs].map(([, key = '', value = '0']) => [key, BigInt(value)]));
}

/** A file of one unsigned number; `undefined` for another text ("max"), and for no file. */
export function parseCount(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? BigInt(text) : undefined;
}

/** The same as a number: bytes and counts are far below 2^53. */
export function numberOf(text: string | undefined): number | undefined {
  const count = parseCount(text);
  return count === undefined ? undefined : Number(count);
}

/** A pressure file (Documentation/accounting/psi.rst); the kernel's microseconds become nanoseconds. `undefined` for no such file. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  const some = stallOf('some', text ?? '');
  return some && { some, full: stallOf('full', text ?? '') ?? noStall };
}

const noStall: Stall = { avg10: 0, avg60: 0, avg300: 0, totalNs: 0n };

function stallOf(kind: 'some' | 'full', text: string): Stall | undefined {
  const line = new RegExp(`^${kind} avg10=([0-9.]+) avg60=([0-9.]+) avg300=([0-9.]+) total=([0-9]+)$`, 'm').exec(text);
  if (!line) return undefined;
  const [, avg10, avg60, avg300, total = '0'] = line;
  return { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), totalNs: BigInt(total) * 1_000n };
}

/** The quota's share of cpu.stat, whose times are in `nsPerUnit` nanoseconds under the key `timeKey`. */
export function parseThrottling(text: string | undefined, timeKey: string, nsPerUnit: bigint): Throttling | undefined {
  const stat = parseKeyed(text ?? '');
  const periods = stat.get('nr_periods');
  if (periods === undefined) return undefined;
  return {
    periods: Number(periods),
    throttledPeriods: Number(stat.get('nr_throttled') ?? 0n),
    throttledNs: (stat.get(timeKey) ?? 0n) * nsPerUnit,
  };
}

/** What io files tell of one device, without its name. */
export interface DiskCounts {
  readonly number: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly writes: number;
}

/** io.stat of cgroup v2: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. */
export function parseIoStat(text: string | undefined): readonly DiskCounts[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const [number = '', ...pairs] = line.split(' ');
    const of = new Map(pairs.map((pair) => pair.split('=') as [string, string]));
    const count = (key: string): number => Number(of.get(key) ?? 0);
    if (!of.has('rbytes')) return [];
    return [{ number, readBytes: count('rbytes'), writtenBytes: count('wbytes'), reads: count('rios'), writes: count('wios') }];
  });
}

/** The blkio files of cgroup v1: lines `8:0 Read 1`, bytes in one and requests in the other. */
export function parseBlkio(bytes: string | undefined, requests: string | undefined): readonly DiskCounts[] {
  const [byteCounts, requestCounts] = [blkioCounts(bytes), blkioCounts(requests)];
  return [...byteCounts].map(([number, { read, write }]) => {
    const served = requestCounts.get(number);
    return { number, readBytes: read, writtenBytes: write, reads: served?.read ?? 0, writes: served?.write ?? 0 };
  });
}

function blkioCounts(text = ''): ReadonlyMap<string, { readonly read: number; readonly write: number }> {
  const counts = new Map<string, { read: number; write: number }>();
  for (const [, number = '', operation, value] of text.matchAll(/^([0-9]+:[0-9]+) (Read|Write) ([0-9]+)$/gm)) {
    const both = counts.get(number) ?? { read: 0, write: 0 };
    both[operation === 'Read' ? 'read' : 'write'] = Number(value);
    counts.set(number, both);
  }
  return counts;
}
