import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What a metric is: the name ends in its unit (seconds, bytes) or `_total`; labels have few values, never an id or a name of a user's. */
export interface Declaration<L extends string> {
  readonly name: string;
  /** One sentence for people; stands in the exposition and in docs/metrics.md. */
  readonly help: string;
  readonly labels?: readonly L[];
}

/** A declaration as the generated page lists it. */
export interface DeclaredMetric extends Declaration<string> {
  readonly type: 'counter' | 'gauge' | 'histogram';
}

/** Label values and a number. */
export type Sample<L extends string> = readonly [labels: Readonly<Record<L, string>>, value: number];

/** The metrics of one daemon. What is `sampled` is looked up in memory at each scrape, synchronously. */
export interface MetricsRegistry {
  readonly counter: <L extends string = never>(declaration: Declaration<L>) => Counter<L>;
  readonly gauge: <L extends string = never>(declaration: Declaration<L>) => Gauge<L>;
  /** `buckets`: upper bounds in the metric's unit, rising. */
  readonly histogram: <L extends string = never>(declaration: Declaration<L>, buckets: readonly number[]) => Histogram<L>;
  /** A gauge that has the answered samples and no others. */
  readonly sampledGauge: <L extends string = never>(declaration: Declaration<L>, look: () => Iterable<Sample<L>>) => void;
  /** A counter whose total somebody else keeps. */
  readonly sampledCounter: (declaration: Declaration<never>, total: () => number) => void;
  /** Everything that was declared, in that order. */
  readonly declared: () => readonly DeclaredMetric[];
  /** All metrics in Prometheus' text format 0.0.4. */
  readonly text: () => Promise<string>;
  readonly contentType: string;
}

/** No metrics yet. A name that is declared twice is an error. */
export function makeRegistry(): MetricsRegistry {
  const registry = new Registry();
  const declarations: DeclaredMetric[] = [];

  function settings<L extends string>(type: DeclaredMetric['type'], declaration: Declaration<L>) {
    declarations.push({ ...declaration, type });
    return { name: declaration.name, help: declaration.help, labelNames: [...(declaration.labels ?? [])], registers: [registry] };
  }

  return {
    counter: (declaration) => new Counter(settings('counter', declaration)),
    gauge: (declaration) => new Gauge(settings('gauge', declaration)),
    histogram: (declaration, buckets) => new Histogram({ ...settings('histogram', declaration), buckets: [...buckets] }),
    sampledGauge: (declaration, look) => {
      const gauge = new Gauge({
        ...settings('gauge', declaration),
        collect: () => {
          gauge.reset();
          for (const [labels, value] of look()) gauge.set(labels, value);
        },
      });
    },
    sampledCounter: (declaration, total) => {
      const counter = new Counter({
        ...settings('counter', declaration),
        collect: () => {
          counter.reset();
          counter.inc(total());
        },
      });
    },
    declared: () => declarations,
    text: async () => registry.metrics(),
    contentType: registry.contentType,
  };
}
