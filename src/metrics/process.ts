import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricsRegistry, Sample } from './registry.ts';

const resolutionMs = 20;

/** The daemon's own process, under the names that Prometheus' client libraries share, and the delay of its event loop. */
export function declareProcessMetrics(registry: MetricsRegistry): void {
  registry.sampledCounter({ name: 'process_cpu_seconds_total', help: 'CPU time of the daemon, user and system.' }, () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  sampled(registry, 'process_resident_memory_bytes', 'Resident memory of the daemon.', () => process.memoryUsage.rss());
  sampled(registry, 'process_open_fds', 'Open file descriptors of the daemon.', () => readdirSync('/proc/self/fd').length);
  const startedAt = performance.timeOrigin / 1_000;
  sampled(registry, 'process_start_time_seconds', 'Start of the daemon, Unix time.', () => startedAt);
  sampled(registry, 'nodejs_heap_size_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed);
  sampled(registry, 'nodejs_external_memory_bytes', 'Memory of buffers and native objects.', () => process.memoryUsage().external);
  registry.sampledGauge(
    {
      name: 'vmlet_event_loop_delay_seconds',
      help: 'How late the event loop was since the last scrape (absent at the first): quantile 0.5, 0.99 and 1 (the longest). Looked at every 20 ms.',
      labels: ['quantile'],
    },
    makeDelaySampler(),
  );
}

function sampled(registry: MetricsRegistry, name: string, help: string, look: () => number): void {
  registry.sampledGauge({ name, help }, () => [[{}, look()]]);
}

/**
 * Measures from the first look on, so that a daemon that nobody scrapes is not woken. Node's histogram (perf_hooks, monitorEventLoopDelay) holds
 * the times from one timer to the next: what is beyond the period is the delay. The first period after each look is not seen.
 */
function makeDelaySampler(): () => readonly Sample<'quantile'>[] {
  let histogram: ReturnType<typeof monitorEventLoopDelay> | undefined;
  const delaySeconds = (ns: number): number => Math.max(0, ns / 1e9 - resolutionMs / 1e3);
  return () => {
    if (!histogram) {
      histogram = monitorEventLoopDelay({ resolution: resolutionMs });
      histogram.enable();
    }
    if (histogram.count === 0) return [];
    const samples: readonly Sample<'quantile'>[] = [
      [{ quantile: '0.5' }, delaySeconds(histogram.percentile(50))],
      [{ quantile: '0.99' }, delaySeconds(histogram.percentile(99))],
      [{ quantile: '1' }, delaySeconds(histogram.max)],
    ];
    histogram.reset();
    return samples;
  };
}
