import type { Log } from '../lib/log.ts';
import { vmletVersion } from '../lib/version.ts';
import { renderDocs } from './docs.ts';
import { makeImageMetrics, type ImageMetrics } from './image-pulls.ts';
import { makeLibvirtMetrics, type LibvirtMetrics } from './libvirt-calls.ts';
import { declareNodeState, type NodeState } from './node-state.ts';
import { declareProcessMetrics } from './process.ts';
import { makeRecordMetrics, type RecordMetrics } from './records.ts';
import { makeRegistry, type MetricsRegistry } from './registry.ts';
import { makeRpcMetrics, type RpcMetrics } from './rpc-calls.ts';
import { makeScrape } from './scrape.ts';
import { serveMetrics, type MetricsServer, type MetricsServerOptions } from './server.ts';
import { makeVmEventMetrics, type VmEventMetrics } from './vm-events.ts';

export type { NodeState } from './node-state.ts';
export type { MetricsServer } from './server.ts';

/**
 * Metrics of one daemon: each part is told by its room's hooks, which `daemon/` joins to it. Counting costs microseconds and never waits.
 */
export interface Metrics {
  readonly rpc: RpcMetrics;
  readonly libvirt: LibvirtMetrics;
  readonly records: RecordMetrics;
  readonly vms: VmEventMetrics;
  readonly images: ImageMetrics;
  /** Sets, once, what is looked up at each scrape, and serves: `/metrics`, `/healthz`, `/readyz`. Answers after the first attempt to listen. */
  readonly serve: (options: MetricsServerOptions, state: NodeState, deps: { readonly log: Log }) => Promise<MetricsServer>;
}

/** Counts from now on. */
export function makeMetrics(): Metrics {
  const registry = makeRegistry();
  const scrape = makeScrape(registry);
  return {
    ...declareParts(registry),
    serve: async (options, state, { log }) => {
      declareNodeState(registry, state);
      const sources = { metrics: scrape.text, metricsType: registry.contentType, conditions: state.conditions };
      return serveMetrics(options, { log, sources });
    },
  };
}

/** The generated page docs/metrics.md. */
export function renderMetricsDocs(): string {
  const registry = makeRegistry();
  declareParts(registry);
  declareNodeState(registry, nodeWithoutPods);
  return renderDocs(makeScrape(registry).declared());
}

function declareParts(registry: MetricsRegistry): Omit<Metrics, 'serve'> {
  const rpc = makeRpcMetrics(registry);
  const build = registry.gauge({ name: 'vmlet_build_info', help: 'Versions of vmlet and Node.js. Always 1.', labels: ['version', 'node'] });
  build.set({ version: vmletVersion, node: process.version }, 1);
  declareProcessMetrics(registry);
  return {
    rpc,
    libvirt: makeLibvirtMetrics(registry, rpc.isReading),
    records: makeRecordMetrics(registry),
    vms: makeVmEventMetrics(registry),
    images: makeImageMetrics(registry),
  };
}

const nodeWithoutPods: NodeState = {
  conditions: () => ({}),
  sandboxes: () => [],
  containers: () => [],
  accelerator: () => undefined,
  imageStoreBytes: () => 0,
  imageCount: () => 0,
};
