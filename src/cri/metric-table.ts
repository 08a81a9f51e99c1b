import type { LinuxResources } from '../model/sandbox.ts';
import type { ContainerStatistics, DiskIo, FileUsage, LeafUsage, MemoryUse, NicCounters, Pressure } from '../model/statistics.ts';
import { family, type Family, type Metric } from './metric.ts';

// Names and labels are cAdvisor's, so that dashboards made for containers show VMs too. What is measured is QEMU, with what serves the VM
// beside it, as the host sees them.

/** A container with its sample. */
export type Measured = Required<ContainerStatistics>;

type Parts<P> = Family<Measured, P>['parts'];

/** CRI's values are whole numbers: seconds lose their fraction, as those of containerd and CRI-O do. */
function seconds(ns: bigint | undefined): bigint | undefined {
  return ns === undefined ? undefined : ns / 1_000_000_000n;
}

function maybe<P>(part: P | undefined): readonly { readonly part: P }[] {
  return part === undefined ? [] : [{ part }];
}

const usage: Parts<LeafUsage> = ({ sample }) => maybe(sample.usage);
const allCpus: Parts<LeafUsage> = (measured) => usage(measured).map(({ part }) => ({ part, labels: ['total'] }));
const memory: Parts<MemoryUse> = ({ sample }) => maybe(sample.usage?.memory);
const itself: Parts<Measured> = (measured) => [{ part: measured }];
const asked: Parts<LinuxResources | undefined> = ({ container }) => [{ part: container.config.resources }];
const files: Parts<FileUsage> = ({ sample }) => maybe(sample.files).map(({ part }) => ({ part, labels: [part.filesystem.device] }));
const disks: Parts<DiskIo> = ({ sample }) => (sample.usage?.disks ?? []).map((part) => ({ part, labels: [part.device] }));

const diskDirections: Parts<number> = ({ sample }) =>
  (sample.usage?.disks ?? []).flatMap(({ device, number, readBytes, writtenBytes }) => {
    const [major = '', minor = ''] = number.split(':');
    return [
      { part: readBytes, labels: [device, major, minor, 'Read'] },
      { part: writtenBytes, labels: [device, major, minor, 'Write'] },
    ];
  });

const faults: Parts<number> = (measured) =>
  memory(measured).flatMap(({ part: { pageFaults, majorPageFaults } }) => [
    { part: pageFaults, labels: ['pgfault', 'container'] },
    { part: majorPageFaults, labels: ['pgmajfault', 'container'] },
  ]);

const cpu: readonly Metric<Measured>[] = [
  ...family(
    { type: 'counter', prefix: 'container_cpu_', labels: ['cpu'], parts: allCpus },
    { usage_seconds_total: ['CPU time used, seconds.', (part) => seconds(part.cpu?.usageNs)] },
  ),
  ...family(
    { type: 'counter', prefix: 'container_cpu_', parts: usage },
    {
      user_seconds_total: ['CPU time used in user mode, seconds.', (part) => seconds(part.cpu?.userNs)],
      system_seconds_total: ['CPU time used in the kernel, seconds.', (part) => seconds(part.cpu?.systemNs)],
      cfs_periods_total: ['Periods of the CPU quota on the vCPUs.', (part) => part.throttling?.periods],
      cfs_throttled_periods_total: ['Periods in which the quota held the vCPUs.', (part) => part.throttling?.throttledPeriods],
      cfs_throttled_seconds_total: ['Time for which the quota held the vCPUs, seconds.', (part) => seconds(part.throttling?.throttledNs)],
    },
  ),
];

const memoryUse: readonly Metric<Measured>[] = [
  ...family(
    { type: 'gauge', prefix: 'container_memory_', parts: memory },
    {
      usage_bytes: ['Memory in use, file cache included.', (part) => part.usageBytes],
      working_set_bytes: ['Memory in use less inactive file cache.', (part) => part.workingSetBytes],
      rss: ['Anonymous memory.', (part) => part.rssBytes],
      cache: ['File cache.', (part) => part.cacheBytes],
      mapped_file: ['Mapped files.', (part) => part.mappedFileBytes],
      swap: ['Swap in use.', (part) => part.swapBytes],
    },
  ),
  ...family(
    { type: 'gauge', prefix: 'container_memory_', parts: usage },
    {
      max_usage_bytes: ['Most memory that was in use.', (part) => part.maxMemoryBytes],
      kernel_usage: ['Memory of the kernel for these processes.', (part) => part.kernelMemoryBytes],
    },
  ),
  ...family(
    { type: 'counter', prefix: 'container_', parts: usage },
    {
      memory_failcnt: ['How often the memory limit was hit.', (part) => part.limitHits],
      oom_events_total: ['Processes killed for lack of memory.', (part) => part.oomKills],
    },
  ),
  ...family(
    { type: 'counter', prefix: 'container_memory_', labels: ['failure_type', 'scope'], parts: faults },
    {
      failures_total: ['Page faults.', (part) => part],
    },
  ),
];

const disk: readonly Metric<Measured>[] = [
  ...family(
    { type: 'gauge', prefix: 'container_fs_', labels: ['device'], parts: files },
    {
      usage_bytes: ['Space that the VM’s files take on the node.', (part) => part.usedBytes],
      limit_bytes: ['Size of the file system that they are on.', (part) => part.filesystem.sizeBytes],
      inodes_total: ['Inodes of that file system.', (part) => part.filesystem.inodes],
      inodes_free: ['Free inodes of that file system.', (part) => part.filesystem.freeInodes],
    },
  ),
  ...family(
    { type: 'counter', prefix: 'container_fs_', labels: ['device'], parts: disks },
    {
      reads_bytes_total: ['Bytes read from a disk of the node.', (part) => part.readBytes],
      reads_total: ['Reads from a disk of the node.', (part) => part.reads],
      writes_bytes_total: ['Bytes written to a disk of the node.', (part) => part.writtenBytes],
      writes_total: ['Writes to a disk of the node.', (part) => part.writes],
    },
  ),
  ...family(
    { type: 'counter', prefix: 'container_blkio_', labels: ['device', 'major', 'minor', 'operation'], parts: diskDirections },
    {
      device_usage_total: ['Bytes moved from and to a disk of the node.', (part) => part],
    },
  ),
];

const processes = family<Measured, LeafUsage>(
  { type: 'gauge', prefix: 'container_', parts: usage },
  {
    processes: ['Processes that run.', (part) => part.tasks.processes],
    threads: ['Threads that run.', (part) => part.tasks.threads],
    threads_max: ['Most threads that may run; 0 for no limit.', (part) => part.tasks.maxThreads ?? 0],
    file_descriptors: ['Open file descriptors.', (part) => part.tasks.fileDescriptors],
    sockets: ['Open sockets.', (part) => part.tasks.sockets],
  },
);

function pressure(resource: string, pick: (part: LeafUsage) => Pressure | undefined): readonly Metric<Measured>[] {
  return family(
    { type: 'counter', prefix: `container_pressure_${resource}_`, parts: usage },
    {
      waiting_seconds_total: [`Time that some tasks have waited for ${resource}, seconds.`, (part) => seconds(pick(part)?.some.totalNs)],
      stalled_seconds_total: [`Time that all tasks have waited for ${resource}, seconds.`, (part) => seconds(pick(part)?.full.totalNs)],
    },
  );
}

const times = family<Measured, Measured>(
  { type: 'gauge', prefix: 'container_', parts: itself },
  {
    last_seen: ['Unix time of the sample, seconds.', ({ sample }) => seconds(sample.atNs)],
    start_time_seconds: ['Unix time of the start, seconds.', ({ container }) => seconds(container.startedAtNs)],
  },
);

const spec = family<Measured, LinuxResources | undefined>(
  { type: 'gauge', prefix: 'container_spec_', parts: asked },
  {
    cpu_period: ['Period of the CPU quota asked for, microseconds.', (part) => part?.cpuPeriodUs ?? 0],
    cpu_quota: ['CPU quota asked for, microseconds a period; 0 for none.', (part) => Math.max(0, part?.cpuQuotaUs ?? 0)],
    cpu_shares: ['CPU shares asked for.', (part) => part?.cpuShares ?? 0],
    memory_limit_bytes: ['Memory limit asked for; 0 for none.', (part) => part?.memoryLimitBytes ?? 0],
    memory_reservation_limit_bytes: ['Memory reservation: always 0, CRI has none.', () => 0],
    memory_swap_limit_bytes: ['Limit of memory and swap asked for; 0 for none.', (part) => Math.max(0, part?.memorySwapLimitBytes ?? 0)],
  },
);

/** The metrics of a container. */
export const containerMetrics: readonly Metric<Measured>[] = [
  ...cpu,
  ...memoryUse,
  ...disk,
  ...processes,
  ...pressure('cpu', (part) => part.cpu?.pressure),
  ...pressure('memory', (part) => part.memory?.pressure),
  ...pressure('io', (part) => part.ioPressure),
  ...times,
  ...spec,
];

/** The metrics of a pod's interface, as its guest sees it. */
export const networkMetrics = family<NicCounters, NicCounters>(
  { type: 'counter', prefix: 'container_network_', labels: ['interface'], parts: (nic) => [{ part: nic, labels: [nic.name] }] },
  {
    receive_bytes_total: ['Bytes received.', ({ rxBytes }) => rxBytes],
    receive_packets_total: ['Packets received.', ({ rxPackets }) => rxPackets],
    receive_packets_dropped_total: ['Packets dropped on their way to the guest.', ({ rxDropped }) => rxDropped],
    receive_errors_total: ['Errors on the way to the guest.', ({ rxErrors }) => rxErrors],
    transmit_bytes_total: ['Bytes sent.', ({ txBytes }) => txBytes],
    transmit_packets_total: ['Packets sent.', ({ txPackets }) => txPackets],
    transmit_packets_dropped_total: ['Packets dropped on their way from the guest.', ({ txDropped }) => txDropped],
    transmit_errors_total: ['Errors on the way from the guest.', ({ txErrors }) => txErrors],
  },
);
