/** One value with the labels that the metric has beside everyone's. */
export interface MetricValue {
  readonly value: bigint | number;
  readonly labels: readonly string[];
}

/** A metric as a kubelet's /metrics/cadvisor shows it. */
export interface Metric<T> {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  /** Labels of its own. */
  readonly labels: readonly string[];
  /** None where nothing was measured. */
  readonly values: (measured: T) => readonly MetricValue[];
}

/** Metrics that are read from the same kind of part: what they have in common, and how its parts are found. */
export interface Family<T, P> {
  readonly type: Metric<T>['type'];
  readonly prefix: string;
  readonly labels?: readonly string[];
  /** The parts of what was measured, each with the labels' values. */
  readonly parts: (measured: T) => readonly { readonly part: P; readonly labels?: readonly string[] }[];
}

/** By the rest of the name: help, and the value in a part. */
export type Members<P> = Readonly<Record<string, readonly [help: string, pick: (part: P) => bigint | number | undefined]>>;

/** Declares the metrics of a family. */
export function family<T, P>({ type, prefix, labels = [], parts }: Family<T, P>, members: Members<P>): readonly Metric<T>[] {
  return Object.entries(members).map(([rest, [help, pick]]) => ({
    name: `${prefix}${rest}`,
    help,
    type,
    labels,
    values: (measured) =>
      parts(measured).flatMap(({ part, labels: own = [] }) => {
        const value = pick(part);
        return value === undefined ? [] : [{ value, labels: own }];
      }),
  }));
}
