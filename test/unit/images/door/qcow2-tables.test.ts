import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeEntryJudge, type TablePlace } from '../../../../src/images/door/qcow2-tables.ts';
import { Refusal } from '../../../../src/images/failures.ts';

const clusterBytes = 65_536;
const fileBytes = 10 * clusterBytes - 1_000; // the last cluster is cut short
const l1: TablePlace = { name: 'l1-table', offset: clusterBytes, length: 24 };
const refcounts: TablePlace = { name: 'refcount-table', offset: 2 * clusterBytes, length: clusterBytes };
const copied = 1n << 63n;

function ruleOf(judge: () => void): string {
  try {
    judge();
    return 'passed';
  } catch (error) {
    if (error instanceof Refusal) return error.rule;
    throw error;
  }
}

function entriesOf(...entries: readonly bigint[]): Uint8Array {
  const bytes = Buffer.alloc(entries.length * 8);
  entries.forEach((entry, index) => bytes.writeBigUInt64BE(entry, index * 8));
  return bytes;
}

const at = (cluster: number): bigint => BigInt(cluster * clusterBytes);

describe('entries of an L1 table', () => {
  test.each<[string, readonly bigint[], string]>([
    ['none in use', [0n, 0n, 0n], 'passed'],
    ['two in use', [copied | at(4), 0n, copied | at(5)], 'passed'],
    ['without the copied flag', [at(4)], 'passed'],
    ['the last, short cluster', [at(9)], 'passed'],
    ['the flag alone', [copied], 'passed'],
    ['behind the file', [at(10)], 'l1-table'],
    ['at the end of 56 bits', [copied | (((1n << 47n) - 1n) << 9n)], 'l1-table'],
    ['not on a cluster', [at(4) + 512n], 'l1-table'],
    ['bit 62', [1n << 62n], 'l1-table'],
    ['bit 56', [1n << 56n], 'l1-table'],
    ['bit 8', [at(4) | 256n], 'l1-table'],
    ['bit 0', [at(4) | 1n], 'l1-table'],
    ['the same L2 table twice', [at(4), at(4)], 'l1-table'],
    ['the L1 table itself', [at(1)], 'l1-table'],
    ['the refcount table', [at(2)], 'l1-table'],
  ])('%s', (_name, entries, rule) => {
    expect(ruleOf(() => makeEntryJudge(fileBytes, clusterBytes, [refcounts, l1]).judge(l1, entriesOf(...entries)))).toBe(rule);
  });
});

describe('entries of a refcount table', () => {
  test.each<[string, readonly bigint[], string]>([
    ['one block', [at(3), 0n], 'passed'],
    ['a flag', [copied | at(3)], 'refcount-table'],
    ['behind the file', [1n << 40n], 'refcount-table'],
    ['the same block twice', [at(3), at(3)], 'refcount-table'],
    ['the L1 table', [at(1)], 'refcount-table'],
  ])('%s', (_name, entries, rule) => {
    expect(ruleOf(() => makeEntryJudge(fileBytes, clusterBytes, [refcounts, l1]).judge(refcounts, entriesOf(...entries)))).toBe(rule);
  });

  test('a block that is an L2 table too, in another chunk', () => {
    const judge = makeEntryJudge(fileBytes, clusterBytes, [refcounts, l1]);
    judge.judge(refcounts, entriesOf(at(3)));
    judge.judge(l1, entriesOf(at(4)));
    expect(ruleOf(() => judge.judge(l1, entriesOf(at(3))))).toBe('l1-table');
  });
});

test('tables that overlap, by a byte or as a whole', () => {
  for (const [offset, length] of [
    [clusterBytes, 8],
    [2 * clusterBytes, 8],
    [clusterBytes, clusterBytes + 1],
  ] as const) {
    const other: TablePlace = { name: 'refcount-table', offset, length };
    const tables = [other, { ...l1, length: 2 * clusterBytes }];
    expect(ruleOf(() => makeEntryJudge(fileBytes, clusterBytes, tables))).toBe('tables-overlap');
  }
});

test('no entries crash it, and none that pass lead twice to a cluster', () => {
  const cluster = fc.integer({ min: 0, max: 12 }).map((n) => at(n));
  const entry = fc.oneof(cluster, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
      const rule = ruleOf(() => makeEntryJudge(fileBytes, clusterBytes, [refcounts, l1]).judge(l1, entriesOf(...entries)));
      const used = entries.map((value) => value & ~copied).filter((value) => value !== 0n);
      const isOnce = new Set(used).size === used.length;
      expect(rule === 'l1-table' || (rule === 'passed' && isOnce)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
