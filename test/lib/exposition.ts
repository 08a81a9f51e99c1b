import { makeRegistry, type MetricsRegistry } from '../../src/metrics/registry.ts';

/** A registry, and what it shows of one metric: its series without comments, by their labels. */
export function exposition(): { readonly registry: MetricsRegistry; readonly series: (name: string) => Promise<Record<string, number>> } {
  const registry = makeRegistry();
  return { registry, series: async (name) => seriesOf(await registry.text(), name) };
}

/** The series of one metric in Prometheus' text format: `{label="value",...}` (empty for none) to value. */
export function seriesOf(text: string, name: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(name.length, at), Number(line.slice(at + 1))];
    }),
  );
}
