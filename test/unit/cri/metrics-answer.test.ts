import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { metricDescriptors, podMetricsToProto } from '../../../src/cri/metrics-answer.ts';
import { MetricDescriptorSchema, MetricType, PodSandboxMetricsSchema, type Metric } from '../../../src/gen/runtime/v1/api_pb.js';
import type { Container } from '../../../src/model/container.ts';
import type { SandboxStatistics } from '../../../src/model/statistics.ts';
import { containerOf, fileUsage, leafUsage, nicCounters, resourcesOf, sandboxOf } from '../pods/samples.ts';

/** What critest 1.37 asks of a runtime that has metrics at all, but for huge pages and ulimits, which it forgives. */
const expected = `blkio_device_usage_total
cpu_cfs_periods_total cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total
cpu_system_seconds_total cpu_usage_seconds_total cpu_user_seconds_total
file_descriptors
fs_inodes_free fs_inodes_total fs_limit_bytes fs_reads_bytes_total fs_reads_total fs_usage_bytes fs_writes_bytes_total fs_writes_total
last_seen
memory_cache memory_failcnt memory_failures_total memory_kernel_usage memory_mapped_file memory_max_usage_bytes memory_rss memory_swap
memory_usage_bytes memory_working_set_bytes
network_receive_bytes_total network_receive_errors_total network_receive_packets_dropped_total network_receive_packets_total
network_transmit_bytes_total network_transmit_errors_total network_transmit_packets_dropped_total network_transmit_packets_total
oom_events_total
pressure_cpu_stalled_seconds_total pressure_cpu_waiting_seconds_total pressure_io_stalled_seconds_total pressure_io_waiting_seconds_total
pressure_memory_stalled_seconds_total pressure_memory_waiting_seconds_total
processes sockets
spec_cpu_period spec_cpu_quota spec_cpu_shares
spec_memory_limit_bytes spec_memory_reservation_limit_bytes spec_memory_swap_limit_bytes
start_time_seconds threads threads_max`
  .split(/\s+/)
  .map((name) => `container_${name}`);

const atNs = 1_790_000_000_999_999_999n;
const plain = containerOf({ state: 'RUNNING' });
const container: Container = {
  ...plain,
  startedAtNs: 1_789_999_999_500_000_000n,
  config: {
    ...plain.config,
    resources: resourcesOf({
      cpuPeriodUs: 100_000,
      cpuQuotaUs: -1,
      cpuShares: 256,
      memoryLimitBytes: 2 ** 27,
      memorySwapLimitBytes: 2 ** 27,
    }),
  },
};
const sandbox = sandboxOf({});
const full: SandboxStatistics = {
  sandbox,
  sample: { atNs, nics: [nicCounters] },
  containers: [{ container, sample: { atNs, usage: leafUsage, files: fileUsage } }],
};

function metricsOf(statistics: SandboxStatistics): { pod: readonly Metric[]; container: readonly Metric[] } {
  const answer = create(PodSandboxMetricsSchema, podMetricsToProto(statistics));
  expect(answer.podSandboxId).toBe(sandbox.id);
  expect(answer.containerMetrics.map(({ containerId }) => containerId)).toEqual(statistics.containers.map((one) => one.container.id));
  return { pod: answer.metrics, container: answer.containerMetrics.flatMap(({ metrics }) => metrics) };
}

/** Values of a metric by the labels that it has of its own. */
function values(metrics: readonly Metric[], name: string): Record<string, bigint | undefined> {
  const named = metrics.filter((metric) => metric.name === `container_${name}`);
  return Object.fromEntries(named.map(({ labelValues, value }) => [labelValues.slice(5).join(' '), value?.value]));
}

const descriptors = metricDescriptors.map((one) => create(MetricDescriptorSchema, one));

describe('the descriptors', () => {
  it('are all that a kubelet of today knows, each with help and containerd’s labels', () => {
    expect(descriptors.map(({ name }) => name).toSorted()).toEqual(expected.toSorted());
    for (const { help, labelKeys } of descriptors) {
      expect(help).toMatch(/\.$/);
      expect(labelKeys.slice(0, 5)).toEqual(['pod', 'namespace', 'container', 'id', 'image']);
    }
  });

  it.each([
    ['cpu_usage_seconds_total', ['cpu']],
    ['network_receive_bytes_total', ['interface']],
    ['fs_usage_bytes', ['device']],
    ['blkio_device_usage_total', ['device', 'major', 'minor', 'operation']],
    ['memory_failures_total', ['failure_type', 'scope']],
    ['memory_rss', []],
  ])('%s has labels of its own: %j', (name, labels) => {
    expect(descriptors.find((one) => one.name === `container_${name}`)?.labelKeys.slice(5)).toEqual(labels);
  });
});

describe('the metrics', () => {
  it('all have a descriptor, as many labels as it says, and its time; all descriptors have a metric', () => {
    const { pod, container: own } = metricsOf(full);
    const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys.length]));
    const wrong = [...pod, ...own].filter(
      ({ name, labelValues, timestamp, value }) => labelValues.length !== keys.get(name) || timestamp !== atNs || value === undefined,
    );
    expect(wrong).toEqual([]);
    expect(new Set([...pod, ...own].map(({ name }) => name))).toEqual(new Set(expected));
  });

  it('say whose they are: the pod’s own have neither container nor image', () => {
    const { pod, container: own } = metricsOf(full);
    expect(pod[0]?.labelValues.slice(0, 5)).toEqual(['pod', 'default', '', sandbox.id, '']);
    expect(own[0]?.labelValues.slice(0, 5)).toEqual(['pod', 'default', 'vm', container.id, 'tiny']);
  });

  it.each([
    ['cpu_usage_seconds_total', { total: 12n }],
    ['cpu_cfs_throttled_seconds_total', { '': 6n }],
    ['cpu_cfs_periods_total', { '': 400n }],
    ['memory_working_set_bytes', { '': 90_000_000n }],
    ['memory_failures_total', { 'pgfault container': 31_000n, 'pgmajfault container': 17n }],
    ['memory_kernel_usage', { '': 1_500_000n }],
    ['memory_failcnt', { '': 3n }],
    ['oom_events_total', { '': 1n }],
    ['fs_usage_bytes', { '/dev/vdb1': 8_388_608n }],
    ['fs_limit_bytes', { '/dev/vdb1': 10_000_000_000n }],
    ['fs_inodes_free', { '/dev/vdb1': 600_000n }],
    ['fs_writes_bytes_total', { '/dev/vda': 2_222n }],
    ['fs_reads_total', { '/dev/vda': 11n }],
    ['blkio_device_usage_total', { '/dev/vda 254 0 Read': 1_111n, '/dev/vda 254 0 Write': 2_222n }],
    ['threads_max', { '': 512n }],
    ['sockets', { '': 6n }],
    ['pressure_memory_stalled_seconds_total', { '': 4n }],
    ['pressure_io_waiting_seconds_total', { '': 3n }],
    ['last_seen', { '': 1_790_000_000n }],
    ['start_time_seconds', { '': 1_789_999_999n }],
    ['spec_cpu_quota', { '': 0n }],
    ['spec_cpu_shares', { '': 256n }],
    ['spec_memory_limit_bytes', { '': 134_217_728n }],
  ])('%s', (name, wanted) => {
    expect(values(metricsOf(full).container, name)).toEqual(wanted);
  });

  it.each([
    ['network_receive_bytes_total', 1_001n],
    ['network_receive_packets_dropped_total', 2n],
    ['network_transmit_packets_total', 202n],
    ['network_transmit_errors_total', 3n],
  ])('%s of the pod’s interface', (name, wanted) => {
    expect(values(metricsOf(full).pod, name)).toEqual({ eth0: wanted });
  });

  it('count what only rises', () => {
    const { container: own } = metricsOf(full);
    const counters = new Set(own.filter(({ metricType }) => metricType === MetricType.COUNTER).map(({ name }) => name));
    const rising = expected.filter((name) => /_total$|_failcnt$/.test(name) && !/_inodes_total$|_network_/.test(name));
    expect(counters).toEqual(new Set(rising));
  });

  it('are absent, not 0, where nothing was measured', () => {
    expect(metricsOf({ sandbox, containers: [{ container }] })).toEqual({ pod: [], container: [] });
    const sample = { atNs, usage: { oomKills: 0, disks: [], tasks: { processes: 1, fileDescriptors: 9, sockets: 1 } } };
    const { pod, container: own } = metricsOf({ sandbox, containers: [{ container, sample }] });
    expect(pod).toEqual([]);
    const names = new Set(own.map(({ name }) => name));
    expect(names).toContain('container_processes');
    for (const absent of ['container_cpu_usage_seconds_total', 'container_memory_swap', 'container_threads', 'container_fs_usage_bytes'])
      expect(names).not.toContain(absent);
    expect(values(own, 'threads_max')).toEqual({ '': 0n });
  });
});
