import type { Amounts, Pod, PodContainer } from './pod.ts';

/** CRI `LinuxContainerResources` as this player fills them. */
export interface ResourcesInit {
  cpuPeriod?: bigint;
  cpuQuota?: bigint;
  cpuShares?: bigint;
  memoryLimitInBytes?: bigint;
  memorySwapLimitInBytes?: bigint;
  oomScoreAdj?: bigint;
  hugepageLimits?: { pageSize: string; limit: bigint }[];
}

/** A pod's quality of service, which decides about cgroup and OOM score. */
export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const periodUs = 100_000;
const minShares = 2;
const maxShares = 262_144;
const minQuotaUs = 1_000;

/** Guaranteed: all containers have equal requests and limits of both kinds; BestEffort: none has any. (kubernetes.io, "Pod Quality of Service Classes") */
export function qosClass(pod: Pod): QosClass {
  const none = pod.containers.every(({ requests, limits }) => isEmpty(requests) && isEmpty(limits));
  if (none) return 'BestEffort';
  const full = pod.containers.every(
    ({ requests, limits }) =>
      limits.milliCpu !== undefined &&
      limits.memoryBytes !== undefined &&
      requests.milliCpu === limits.milliCpu &&
      requests.memoryBytes === limits.memoryBytes,
  );
  return full ? 'Guaranteed' : 'Burstable';
}

/** `linux.resources` of the sandbox: the sums over the containers. */
export function sandboxResources(pod: Pod): ResourcesInit {
  return linuxResources(sum(pod.containers.map(({ requests }) => requests)), sum(pod.containers.map(({ limits }) => limits)));
}

/** `linux.overhead` of the sandbox, treated as guaranteed; an empty message when the pod has none. */
export function overheadResources(pod: Pod): ResourcesInit {
  return isEmpty(pod.overhead) ? {} : linuxResources(pod.overhead, pod.overhead);
}

/** `linux.resources` of a container. */
export function containerResources(pod: Pod, container: PodContainer, memoryCapacityBytes: number): ResourcesInit {
  const { memoryBytes } = container.limits;
  return {
    ...linuxResources(container.requests, container.limits),
    oomScoreAdj: BigInt(oomScoreAdj(pod, container, memoryCapacityBytes)),
    hugepageLimits: ['2MB', '1GB'].map((pageSize) => ({ pageSize, limit: 0n })),
    // No swap for pods: memory and swap together are what memory alone may be.
    ...(memoryBytes === undefined ? {} : { memorySwapLimitInBytes: BigInt(memoryBytes) }),
  };
}

/** -997 for Guaranteed, 1000 for BestEffort; Burstable in between by its share of the node's memory, 3 to 999. (kubernetes.io, "Node-pressure Eviction") */
export function oomScoreAdj(pod: Pod, container: PodContainer, memoryCapacityBytes: number): number {
  const qos = qosClass(pod);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const share = Math.floor((1000 * (container.requests.memoryBytes ?? 0)) / memoryCapacityBytes);
  return Math.min(999, Math.max(3, 1000 - share));
}

function linuxResources(requests: Amounts, limits: Amounts): ResourcesInit {
  const { milliCpu, memoryBytes } = limits;
  const shares = Math.floor(((requests.milliCpu ?? milliCpu ?? 0) * 1024) / 1000);
  const quotaUs = Math.max(minQuotaUs, Math.floor(((milliCpu ?? 0) * periodUs) / 1000));
  return {
    cpuPeriod: BigInt(periodUs),
    cpuShares: BigInt(Math.min(maxShares, Math.max(minShares, shares))),
    ...(milliCpu ? { cpuQuota: BigInt(quotaUs) } : {}),
    ...(memoryBytes ? { memoryLimitInBytes: BigInt(memoryBytes) } : {}),
  };
}

function sum(list: readonly Amounts[]): Amounts {
  const total = (values: readonly (number | undefined)[]): number | undefined => {
    const given = values.filter((value) => value !== undefined);
    return given.length === 0 ? undefined : given.reduce((left, right) => left + right, 0);
  };
  const milliCpu = total(list.map((amounts) => amounts.milliCpu));
  const memoryBytes = total(list.map((amounts) => amounts.memoryBytes));
  return { ...(milliCpu === undefined ? {} : { milliCpu }), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
}

function isEmpty(amounts: Amounts): boolean {
  return amounts.milliCpu === undefined && amounts.memoryBytes === undefined;
}
