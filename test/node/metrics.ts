import { readFileSync } from 'node:fs';
import { seriesOf } from '../lib/exposition.ts';
import type { TestNode } from './node.ts';

/** An HTTP answer of the daemon's metrics server. */
export interface MetricsAnswer {
  readonly status: number;
  readonly text: string;
}

/** Asks the metrics server of a node's daemon, at the port that the daemon's log tells of. */
export async function askMetrics(node: TestNode, path: string): Promise<MetricsAnswer> {
  const response = await fetch(`${metricsUrl(node)}${path}`, { signal: AbortSignal.timeout(10_000) });
  return { status: response.status, text: await response.text() };
}

/** One scrape: a metric's series, as `seriesOf` has them. */
export async function scrape(node: TestNode): Promise<(name: string) => Readonly<Record<string, number>>> {
  const { status, text } = await askMetrics(node, '/metrics');
  if (status !== 200) throw new Error(`/metrics answered ${status}: ${text}`);
  return (name) => seriesOf(text, name);
}

function metricsUrl(node: TestNode): string {
  const lines = readFileSync(node.logFile, 'utf8').split('\n');
  const line = lines.findLast((one) => one.includes('"msg":"metrics are served"')); // the last daemon's
  const port = /"port":([0-9]+)/.exec(line ?? '')?.[1];
  if (port === undefined) throw new Error('the daemon serves no metrics');
  return `http://127.0.0.1:${port}`;
}
