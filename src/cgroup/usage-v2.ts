import type { CpuTime, GroupUsage, MemoryUse } from '../model/statistics.ts';
import { numberOf, parseIoStat, parseKeyed, parsePressure, parseThrottling, type GroupTexts } from './usage-texts.ts';
import type { LeafTexts } from './usage.ts';

/** The files that tell a group's use; they count the groups below too (cgroup-v2.rst). */
export const groupFilesV2 = [
  'cpu.stat',
  'cpu.pressure',
  'memory.current',
  'memory.stat',
  'memory.max',
  'memory.swap.current',
  'memory.pressure',
  'io.pressure',
] as const;

/** What is read of a leaf beside them; the quota is on its threaded child's. */
export const leafFilesV2 = [
  ...groupFilesV2,
  'vcpu/cpu.stat',
  'memory.peak',
  'memory.events',
  'io.stat',
  'pids.current',
  'pids.max',
  'cgroup.procs',
] as const;

/** A group's use with cgroup v2. */
export function groupUsageV2(texts: GroupTexts): GroupUsage {
  const [cpu, memory, ioPressure] = [cpuOf(texts), memoryOf(texts), parsePressure(texts.get('io.pressure'))];
  return { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}), ...(ioPressure ? { ioPressure } : {}) };
}

/** A leaf's use with cgroup v2. */
export function leafTextsV2(texts: GroupTexts): LeafTexts {
  const events = parseKeyed(texts.get('memory.events') ?? '');
  const stat = parseKeyed(texts.get('memory.stat') ?? '');
  const limitHits = events.get('max');
  const kernel = stat.get('kernel') ?? stat.get('kernel_stack'); // the sum is told since Linux 5.18
  return {
    group: groupUsageV2(texts),
    throttling: parseThrottling(texts.get('vcpu/cpu.stat'), 'throttled_usec', 1_000n),
    maxMemoryBytes: numberOf(texts.get('memory.peak')),
    kernelMemoryBytes: kernel === undefined ? undefined : Number(kernel),
    limitHits: limitHits === undefined ? undefined : Number(limitHits),
    oomKills: Number(events.get('oom_kill') ?? 0n),
    disks: parseIoStat(texts.get('io.stat')),
  };
}

function cpuOf(texts: GroupTexts): CpuTime | undefined {
  const stat = parseKeyed(texts.get('cpu.stat') ?? '');
  const usage = stat.get('usage_usec');
  if (usage === undefined) return undefined;
  const pressure = parsePressure(texts.get('cpu.pressure'));
  return {
    usageNs: usage * 1_000n,
    userNs: (stat.get('user_usec') ?? 0n) * 1_000n,
    systemNs: (stat.get('system_usec') ?? 0n) * 1_000n,
    ...(pressure ? { pressure } : {}),
  };
}

function memoryOf(texts: GroupTexts): MemoryUse | undefined {
  const usageBytes = numberOf(texts.get('memory.current'));
  if (usageBytes === undefined) return undefined;
  const stat = parseKeyed(texts.get('memory.stat') ?? '');
  const of = (key: string): number => Number(stat.get(key) ?? 0n);
  const limitBytes = numberOf(texts.get('memory.max'));
  const swapBytes = numberOf(texts.get('memory.swap.current'));
  const pressure = parsePressure(texts.get('memory.pressure'));
  return {
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - of('inactive_file')),
    rssBytes: of('anon'),
    cacheBytes: of('file'),
    mappedFileBytes: of('file_mapped'),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(swapBytes === undefined ? {} : { swapBytes }),
    pageFaults: of('pgfault'),
    majorPageFaults: of('pgmajfault'),
    ...(pressure ? { pressure } : {}),
  };
}
