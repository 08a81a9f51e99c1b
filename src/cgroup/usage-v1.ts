import type { CpuTime, GroupUsage, MemoryUse } from '../model/statistics.ts';
import { numberOf, parseBlkio, parseCount, parseKeyed, parseThrottling, type GroupTexts } from './usage-texts.ts';
import type { LeafTexts } from './usage.ts';

/** The files that tell a group's use, each with its controller. Those of cpuacct and memory count the groups below too. */
export const groupFilesV1 = [
  ['cpuacct', 'cpuacct.usage'],
  ['cpuacct', 'cpuacct.usage_user'],
  ['cpuacct', 'cpuacct.usage_sys'],
  ['memory', 'memory.usage_in_bytes'],
  ['memory', 'memory.stat'],
  ['memory', 'memory.limit_in_bytes'],
] as const;

/** What is read of a leaf beside them; the quota is on its child's. */
export const leafFilesV1 = [
  ...groupFilesV1,
  ['cpu', 'vcpu/cpu.stat'],
  ['memory', 'memory.max_usage_in_bytes'],
  ['memory', 'memory.kmem.usage_in_bytes'],
  ['memory', 'memory.failcnt'],
  ['memory', 'memory.oom_control'],
  ['memory', 'cgroup.procs'],
  ['pids', 'pids.current'],
  ['pids', 'pids.max'],
  ['blkio', 'blkio.throttle.io_service_bytes_recursive'],
  ['blkio', 'blkio.throttle.io_serviced_recursive'],
] as const;

/** Limits from here on are none: the kernel's largest is 2^63 less a page (memory.rst of cgroup v1). */
const noLimitBytes = 2 ** 60;

/** A group's use with cgroup v1. */
export function groupUsageV1(texts: GroupTexts): GroupUsage {
  const [cpu, memory] = [cpuOf(texts), memoryOf(texts)];
  return { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) };
}

/** A leaf's use with cgroup v1. */
export function leafTextsV1(texts: GroupTexts): LeafTexts {
  const throttling = parseThrottling(texts.get('vcpu/cpu.stat'), 'throttled_time', 1n);
  return {
    group: groupUsageV1(texts),
    throttling,
    maxMemoryBytes: numberOf(texts.get('memory.max_usage_in_bytes')),
    kernelMemoryBytes: numberOf(texts.get('memory.kmem.usage_in_bytes')),
    limitHits: numberOf(texts.get('memory.failcnt')),
    oomKills: Number(parseKeyed(texts.get('memory.oom_control') ?? '').get('oom_kill') ?? 0n),
    disks: parseBlkio(texts.get('blkio.throttle.io_service_bytes_recursive'), texts.get('blkio.throttle.io_serviced_recursive')),
  };
}

function cpuOf(texts: GroupTexts): CpuTime | undefined {
  const usageNs = parseCount(texts.get('cpuacct.usage'));
  if (usageNs === undefined) return undefined;
  return {
    usageNs,
    userNs: parseCount(texts.get('cpuacct.usage_user')) ?? 0n,
    systemNs: parseCount(texts.get('cpuacct.usage_sys')) ?? 0n,
  };
}

function memoryOf(texts: GroupTexts): MemoryUse | undefined {
  const usageBytes = numberOf(texts.get('memory.usage_in_bytes'));
  if (usageBytes === undefined) return undefined;
  const stat = parseKeyed(texts.get('memory.stat') ?? '');
  const total = (key: string): number => Number(stat.get(`total_${key}`) ?? 0n);
  const limit = numberOf(texts.get('memory.limit_in_bytes')) ?? noLimitBytes;
  return {
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - total('inactive_file')),
    rssBytes: total('rss'),
    cacheBytes: total('cache'),
    mappedFileBytes: total('mapped_file'),
    ...(limit < noLimitBytes ? { limitBytes: limit } : {}),
    ...(stat.has('total_swap') ? { swapBytes: total('swap') } : {}),
    pageFaults: total('pgfault'),
    majorPageFaults: total('pgmajfault'),
  };
}
