import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dataRuns, stretchBytes } from '../../../../src/images/layer/data-runs.ts';

test('zeros have no runs, neighbours are one', () => {
  const bytes = Buffer.alloc(4 * stretchBytes + 10);
  expect(dataRuns(bytes)).toEqual([]);
  bytes[stretchBytes] = 1;
  bytes[3 * stretchBytes - 1] = 1;
  expect(dataRuns(bytes)).toEqual([[stretchBytes, 3 * stretchBytes]]);
  bytes[4 * stretchBytes + 9] = 1;
  expect(dataRuns(bytes)).toEqual([
    [stretchBytes, 3 * stretchBytes],
    [4 * stretchBytes, 4 * stretchBytes + 10],
  ]);
  expect(dataRuns(Buffer.alloc(0))).toEqual([]);
});

test('whatever is not in a run is zero', () => {
  const marks = fc.array(fc.nat(5 * stretchBytes - 1), { maxLength: 5 });
  fc.assert(
    fc.property(marks, fc.integer({ min: 1, max: 5 * stretchBytes }), (ats, length) => {
      const bytes = Buffer.alloc(5 * stretchBytes);
      for (const at of ats) bytes[at] = 0xff;
      const part = bytes.subarray(0, length);
      const copy = Buffer.alloc(length);
      for (const [from, to] of dataRuns(part)) part.copy(copy, from, from, to);
      expect(copy.equals(part)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
