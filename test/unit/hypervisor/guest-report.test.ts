import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeReportReader, parseReport } from '../../../src/hypervisor/guest-report.ts';
import type { GuestReport } from '../../../src/model/container.ts';

describe('parseReport', () => {
  it.each<[string, GuestReport | undefined]>([
    ['0', { exitCode: 0, message: '' }],
    ['3 no database', { exitCode: 3, message: 'no database' }],
    ['255 \r', { exitCode: 255, message: '' }],
    ['1  two spaces', { exitCode: 1, message: ' two spaces' }],
    ['256', undefined],
    ['-1', undefined],
    ['3no', undefined],
    ['', undefined],
    ['hello 3', undefined],
  ])('%j', (line, expected) => {
    expect(parseReport(line)).toEqual(expected);
  });
});

describe('a report reader', () => {
  it('finds the last report, however the bytes are cut', () => {
    const text = Buffer.from('noise\n1 erster Bericht: größer\n0\r\n7 zuletzt\nunfinished 9');
    fc.assert(
      fc.property(fc.array(fc.nat({ max: text.length }), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        const { push } = makeReportReader();
        const reports = edges.slice(1).map((to, index) => push(text.subarray(edges[index], to)));
        expect(reports.findLast((report) => report !== undefined)).toEqual({ exitCode: 7, message: 'zuletzt' });
      }),
    );
  });

  it('keeps no more than a line of 4 KiB, whatever comes', () => {
    const { push } = makeReportReader();
    push(Buffer.from('5 '));
    for (let index = 0; index < 100; index += 1) expect(push(Buffer.alloc(65_536, 'x'))).toBeUndefined();
    const report = push(Buffer.from('\n6\n'));
    expect(report).toEqual({ exitCode: 6, message: '' });
    push(Buffer.from('7 '));
    push(Buffer.alloc(100_000, 'y'));
    expect(push(Buffer.from('\n'))?.message.length).toBeLessThanOrEqual(4_110);
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const report = makeReportReader().push(Buffer.from(bytes));
        expect(report === undefined || (report.exitCode >= 0 && report.exitCode <= 255)).toBe(true);
      }),
    );
  });
});
