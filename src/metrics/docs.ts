import type { DeclaredMetric } from './registry.ts';

/** The page docs/metrics.md, made from the declarations. */
export function renderDocs(metrics: readonly DeclaredMetric[]): string {
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(
      ({ name, type, labels = [], help }) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
    );
  return [
    '# Metrics',
    '',
    '<!-- Generated from src/metrics/ by `npm run gen`. Do not edit. -->',
    '',
    'The daemon serves HTTP on `metrics.listen` ([configuration.md](configuration.md)), by default on loopback alone:',
    '',
    '- `/metrics`: everything below, in Prometheus’ text format. A scrape reads memory only: it never waits for a lock, libvirt or the disk.',
    '- `/healthz`: 200 while the process serves.',
    '- `/readyz`: 200 when the runtime can take work, else 503 with one line for each of the CRI’s conditions `RuntimeReady` and `NetworkReady`',
    '  that does not hold, and `Serving` until the CRI socket is open.',
    '',
    'There is no authentication and no TLS, and nothing secret is in it: no label carries an id or the name of a pod, an image or a host. If the',
    'address cannot be had, because another process has the port, the runtime goes on without: the log has an error, and the daemon tries',
    'again every 10 seconds.',
    '',
    'Counters begin at 0 when the daemon starts.',
    '',
    '| metric | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
