import { describe, expect, it } from 'vitest';
import { percentile, ratioFigure } from '../../bench/figure.ts';

describe('percentile', () => {
  it('is the nearest rank, whatever the order', () => {
    const samples = [5, 1, 4, 2, 3];
    expect([percentile(samples, 0), percentile(samples, 0.5), percentile(samples, 0.99), percentile(samples, 1)]).toEqual([1, 3, 5, 5]);
    expect(percentile([7], 0.5)).toBe(7);
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });
});

describe('ratioFigure', () => {
  it('compares the p50s, and a bar that is just met is met', () => {
    const what = { bench: 'b', metric: 'm', bar: 1.25, load: 0.123 };
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    expect(ratioFigure(what, [125, 125, 500], [100, 100, 1])).toEqual({
      bench: 'b',
      metric: 'm',
      value: 1.25,
      unit: 'ratio',
      bar: 1.25,
      pass: true,
      p50: 125,
      p99: 500,
      n: 3,
      baseline: 100,
      load: 0.12,
    });
    expect(ratioFigure(what, hundred, [10])).toMatchObject({ value: 5, pass: false, p50: 50, p99: 99, n: 100 });
  });
});
