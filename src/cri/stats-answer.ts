import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ContainerStatsSchema,
  CpuUsageSchema,
  FilesystemUsageSchema,
  IoUsageSchema,
  LinuxPodSandboxStatsSchema,
  MemoryUsageSchema,
  NetworkInterfaceUsageSchema,
  PodSandboxStatsSchema,
  PsiStatsSchema,
  SwapUsageSchema,
} from '../gen/runtime/v1/api_pb.js';
import type {
  ContainerStatistics,
  CpuTime,
  FileUsage,
  GroupUsage,
  MemoryUse,
  NicCounters,
  Pressure,
  SandboxStatistics,
  Stall,
} from '../model/statistics.ts';

/**
 * A container's statistics. Attributes with metadata are always there: a kubelet dereferences them unseen. `usage_nano_cores` stays unset:
 * a kubelet derives it from two samples, and would take what stands there for a rate.
 */
export function containerStatsToProto({ container, sample }: ContainerStatistics): MessageInitShape<typeof ContainerStatsSchema> {
  const { id, config } = container;
  return {
    attributes: {
      id,
      metadata: { name: config.name, attempt: config.attempt },
      labels: config.labels,
      annotations: config.annotations,
    },
    ...(sample?.usage ? groupToProto(sample.usage, sample.atNs) : {}),
    ...(sample?.files ? { writableLayer: writableLayer(sample.files, sample.atNs) } : {}),
  };
}

/** A sandbox's statistics; `linux` is always there, which a kubelet dereferences unseen. */
export function sandboxStatsToProto(statistics: SandboxStatistics): MessageInitShape<typeof PodSandboxStatsSchema> {
  const { id, config } = statistics.sandbox;
  return {
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    linux: linuxStats(statistics),
  };
}

function linuxStats({ sample, containers }: SandboxStatistics): MessageInitShape<typeof LinuxPodSandboxStatsSchema> {
  const processes = containers.flatMap((one) => one.sample?.usage?.tasks.processes ?? []);
  const [nic, ...others] = sample?.nics ?? [];
  const timestamp = sample?.atNs ?? 0n;
  return {
    ...podUsage({ sample, containers }),
    // A kubelet dereferences the default interface unseen once there is a network; the list is of the other ones (api.proto).
    ...(nic ? { network: { timestamp, defaultInterface: nicToProto(nic), interfaces: others.map(nicToProto) } } : {}),
    ...(sample ? { process: { timestamp, processCount: { value: BigInt(processes.reduce((sum, count) => sum + count, 0)) } } } : {}),
    containers: containers.map(containerStatsToProto),
  };
}

/** A pod without a control group of its own uses what its one VM does. */
function podUsage({
  sample,
  containers,
}: Pick<SandboxStatistics, 'containers'> & { readonly sample: SandboxStatistics['sample'] }): Omit<
  ReturnType<typeof groupToProto>,
  'swap'
> {
  const [only] = containers;
  const chosen = sample?.usage ? sample : only?.sample;
  if (!chosen?.usage) return {};
  const { swap: _swap, ...usage } = groupToProto(chosen.usage, chosen.atNs);
  return usage;
}

interface GroupParts {
  cpu?: MessageInitShape<typeof CpuUsageSchema>;
  memory?: MessageInitShape<typeof MemoryUsageSchema>;
  swap?: MessageInitShape<typeof SwapUsageSchema>;
  io?: MessageInitShape<typeof IoUsageSchema>;
}

function groupToProto({ cpu, memory, ioPressure }: GroupUsage, timestamp: bigint): GroupParts {
  return {
    ...(cpu ? { cpu: cpuToProto(cpu, timestamp) } : {}),
    ...(memory ? { memory: memoryToProto(memory, timestamp) } : {}),
    ...(memory?.swapBytes === undefined ? {} : { swap: { timestamp, swapUsageBytes: count(memory.swapBytes) } }),
    ...(ioPressure ? { io: { timestamp, psi: psiToProto(ioPressure) } } : {}),
  };
}

function cpuToProto({ usageNs, pressure }: CpuTime, timestamp: bigint): MessageInitShape<typeof CpuUsageSchema> {
  return { timestamp, usageCoreNanoSeconds: { value: usageNs }, ...(pressure ? { psi: psiToProto(pressure) } : {}) };
}

function memoryToProto(memory: MemoryUse, timestamp: bigint): MessageInitShape<typeof MemoryUsageSchema> {
  const { usageBytes, workingSetBytes, rssBytes, limitBytes, pageFaults, majorPageFaults, pressure } = memory;
  return {
    timestamp,
    workingSetBytes: count(workingSetBytes),
    ...(limitBytes === undefined ? {} : { availableBytes: count(Math.max(0, limitBytes - workingSetBytes)) }),
    usageBytes: count(usageBytes),
    rssBytes: count(rssBytes),
    pageFaults: count(pageFaults),
    majorPageFaults: count(majorPageFaults),
    ...(pressure ? { psi: psiToProto(pressure) } : {}),
  };
}

function writableLayer(
  { usedBytes, inodesUsed, filesystem }: FileUsage,
  timestamp: bigint,
): MessageInitShape<typeof FilesystemUsageSchema> {
  return { timestamp, fsId: { mountpoint: filesystem.directory }, usedBytes: count(usedBytes), inodesUsed: count(inodesUsed) };
}

function nicToProto({ name, rxBytes, rxErrors, txBytes, txErrors }: NicCounters): MessageInitShape<typeof NetworkInterfaceUsageSchema> {
  return { name, rxBytes: count(rxBytes), rxErrors: count(rxErrors), txBytes: count(txBytes), txErrors: count(txErrors) };
}

function psiToProto({ some, full }: Pressure): MessageInitShape<typeof PsiStatsSchema> {
  return { Some: stallToProto(some), Full: stallToProto(full) };
}

function stallToProto({ avg10, avg60, avg300, totalNs }: Stall): {
  readonly Avg10: number;
  readonly Avg60: number;
  readonly Avg300: number;
  readonly Total: bigint;
} {
  return { Avg10: avg10, Avg60: avg60, Avg300: avg300, Total: totalNs };
}

function count(value: number): { readonly value: bigint } {
  return { value: BigInt(value) };
}
