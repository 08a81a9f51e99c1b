/** One result of a benchmark, printed as one JSON line. Ratios have no unit; times are milliseconds, throughputs MiB/s. */
export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** What `value` must not exceed. */
  readonly bar?: number;
  /** What `value` must reach. */
  readonly floor?: number;
  readonly pass?: boolean;
  readonly p50?: number;
  readonly p99?: number;
  /** How many samples. */
  readonly n?: number;
  /** The p50 that `value` is relative to, in the unit of `p50`. */
  readonly baseline?: number;
  /** The machine's load average over a minute, at the end. */
  readonly load?: number;
}

/** The value below which `fraction` of the samples lie (nearest rank). Throws for no samples. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('no samples');
  return value;
}

/** What stands beside a comparison, each in the samples' unit. */
function compared(samples: readonly number[], baseline: readonly number[]): Pick<Figure, 'p50' | 'p99' | 'n' | 'baseline'> {
  return {
    p50: rounded(percentile(samples, 0.5), 1),
    p99: rounded(percentile(samples, 0.99), 1),
    n: samples.length,
    baseline: rounded(percentile(baseline, 0.5), 1),
  };
}

/** How `samples` compare with `baseline` in the same run: the p50s decide. Both in milliseconds. */
export function ratioFigure(
  what: { readonly bench: string; readonly metric: string; readonly bar?: number; readonly load: number },
  samples: readonly number[],
  baseline: readonly number[],
): Figure {
  const value = rounded(percentile(samples, 0.5) / percentile(baseline, 0.5), 3);
  return {
    bench: what.bench,
    metric: what.metric,
    value,
    unit: 'ratio',
    ...judged(value, what.bar),
    ...compared(samples, baseline),
    load: rounded(what.load, 2),
  };
}

/** By how much the p50 of `samples` is above that of `baseline`, in milliseconds. */
export function excessFigure(
  what: { readonly bench: string; readonly metric: string; readonly bar: number; readonly load: number },
  samples: readonly number[],
  baseline: readonly number[],
): Figure {
  const value = rounded(percentile(samples, 0.5) - percentile(baseline, 0.5), 1);
  return {
    bench: what.bench,
    metric: what.metric,
    value,
    unit: 'ms',
    ...judged(value, what.bar),
    ...compared(samples, baseline),
    load: rounded(what.load, 2),
  };
}

/**
 * How a throughput compares with that of `baseline` in the same round: the p50 of the rounds' ratios, so that a load that comes and goes
 * weighs on both. All in MiB/s, one sample a round.
 */
export function throughputFigure(
  what: { readonly bench: string; readonly metric: string; readonly floor: number; readonly load: number },
  samples: readonly number[],
  baseline: readonly number[],
): Figure {
  const ratios = samples.map((sample, round) => sample / (baseline[round] ?? Number.NaN));
  const value = rounded(percentile(ratios, 0.5), 3);
  return {
    bench: what.bench,
    metric: what.metric,
    value,
    unit: 'ratio',
    floor: what.floor,
    pass: value >= what.floor,
    p50: rounded(percentile(samples, 0.5), 1),
    n: samples.length,
    baseline: rounded(percentile(baseline, 0.5), 1),
    load: rounded(what.load, 2),
  };
}

/** A figure that is judged by itself: its p50 against the bar, if there is one. */
export function absoluteFigure(
  what: { readonly bench: string; readonly metric: string; readonly unit: string; readonly bar?: number; readonly load: number },
  samples: readonly number[],
): Figure {
  const value = rounded(percentile(samples, 0.5), 3);
  return {
    bench: what.bench,
    metric: what.metric,
    value,
    unit: what.unit,
    ...judged(value, what.bar),
    ...(samples.length > 1 ? { p50: value, p99: rounded(percentile(samples, 0.99), 3) } : {}),
    n: samples.length,
    load: rounded(what.load, 2),
  };
}

function judged(value: number, bar: number | undefined): Pick<Figure, 'bar' | 'pass'> {
  return bar === undefined ? {} : { bar, pass: value <= bar };
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
