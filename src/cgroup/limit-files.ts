/** Limits of a leaf; absent = leave as it is. */
export interface LeafLimits {
  readonly cpuShares?: number;
  /** Microseconds for each period; -1 = none. Applied to the vCPU threads only, so that monitor and stop stay fast. */
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly memoryLimitBytes?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
}

/** One write: `text` into `file` of the leaf, or of its child for the vCPU threads. */
export interface LimitWrite {
  /** Controller that must be there for it. */
  readonly controller: string;
  readonly group: 'leaf' | 'vcpu';
  readonly file: string;
  readonly text: string;
}

/** The writes for cgroup v1, in order. Without a quota first, since the kernel refuses a step between two limits that exceeds the parent's. */
export function limitWritesV1(limits: LeafLimits): readonly LimitWrite[] {
  const { cpuQuotaUs, cpuPeriodUs } = limits;
  const both = cpuQuotaUs !== undefined && cpuPeriodUs !== undefined;
  return [
    ...write('cpuset', 'leaf', 'cpuset.cpus', limits.cpusetCpus),
    ...write('cpuset', 'leaf', 'cpuset.mems', limits.cpusetMems),
    ...write('memory', 'leaf', 'memory.limit_in_bytes', limits.memoryLimitBytes),
    ...write('cpu', 'leaf', 'cpu.shares', limits.cpuShares),
    ...write('cpu', 'vcpu', 'cpu.cfs_quota_us', both ? -1 : undefined),
    ...write('cpu', 'vcpu', 'cpu.cfs_period_us', cpuPeriodUs),
    ...write('cpu', 'vcpu', 'cpu.cfs_quota_us', cpuQuotaUs),
  ];
}

/** The writes for cgroup v2. `cpuMax` is what stands in the vCPU group's `cpu.max`, from which an absent quota is kept. */
export function limitWritesV2(limits: LeafLimits, cpuMax: string): readonly LimitWrite[] {
  const { cpuShares } = limits;
  return [
    ...write('cpuset', 'leaf', 'cpuset.cpus', limits.cpusetCpus),
    ...write('cpuset', 'leaf', 'cpuset.mems', limits.cpusetMems),
    ...write('memory', 'leaf', 'memory.max', limits.memoryLimitBytes),
    ...write('cpu', 'leaf', 'cpu.weight', cpuShares === undefined ? undefined : weightOf(cpuShares)),
    ...write('cpu', 'vcpu', 'cpu.max', cpuMaxOf(limits, cpuMax)),
  ];
}

/** v1's shares (2 to 262144) as v2's weight (1 to 10000), as the kubelet converts them (KEP-2254). */
function weightOf(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  return Math.floor(1 + ((clamped - 2) * 9999) / 262_142);
}

function cpuMaxOf({ cpuQuotaUs, cpuPeriodUs }: LeafLimits, before: string): string | undefined {
  if (cpuQuotaUs === undefined && cpuPeriodUs === undefined) return undefined;
  const [quotaBefore = 'max'] = before.trim().split(' ').filter(Boolean);
  const quota = cpuQuotaUs === undefined ? quotaBefore : cpuQuotaUs < 0 ? 'max' : String(cpuQuotaUs);
  return cpuPeriodUs === undefined ? quota : `${quota} ${cpuPeriodUs}`;
}

function write(controller: string, group: 'leaf' | 'vcpu', file: string, value: number | string | undefined): readonly LimitWrite[] {
  return value === undefined ? [] : [{ controller, group, file, text: String(value) }];
}
