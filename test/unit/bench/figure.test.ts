import { describe, expect, it } from 'vitest';
import { excessFigure, percentile, ratioFigure, throughputFigure } from '../../bench/figure.ts';

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

  it('passes no judgement without a bar', () => {
    const figure = ratioFigure({ bench: 'b', metric: 'm', load: 0 }, [3], [2]);
    expect(Object.keys(figure)).not.toEqual(expect.arrayContaining(['pass']));
    expect(figure.value).toBe(1.5);
  });
});

describe('excessFigure', () => {
  it('is what the p50 has above the baseline’s', () => {
    const what = { bench: 'b', metric: 'm', bar: 60, load: 0 };
    expect(excessFigure(what, [80, 90, 500], [30, 30, 0])).toMatchObject({
      value: 60,
      unit: 'ms',
      bar: 60,
      pass: true,
      p50: 90,
      baseline: 30,
    });
    expect(excessFigure(what, [90.1], [30])).toMatchObject({ value: 60.1, pass: false });
  });
});

describe('throughputFigure', () => {
  it('compares each round with itself, so that a machine that slows down counts for nothing', () => {
    const what = { bench: 'b', metric: 'm', floor: 0.95, load: 0 };
    const figure = throughputFigure(what, [95, 47.5, 9.5], [100, 50, 10]);
    expect(figure).toMatchObject({ value: 0.95, unit: 'ratio', floor: 0.95, pass: true, p50: 47.5, baseline: 50, n: 3 });
    expect(throughputFigure(what, [94], [100])).toMatchObject({ value: 0.94, pass: false });
  });
});
