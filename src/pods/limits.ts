import type { LeafLimits } from '../cgroup/cgroup.ts';
import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/sandbox.ts';

/**
 * The limits of a VM's cgroup leaf, from what its container asks for; what it does not ask for is left out. Memory is guest and QEMU
 * together: the container's limit and the sandbox's overhead.
 */
export function leafLimits({ config: { overhead } }: Sandbox, { config: { resources } }: Container): LeafLimits {
  if (!resources) return {};
  const { memoryLimitBytes, cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, cpusetMems } = resources;
  return {
    ...(memoryLimitBytes > 0 ? { memoryLimitBytes: memoryLimitBytes + (overhead?.memoryLimitBytes ?? 0) } : {}),
    // -1, "no quota" in words, also takes one away that was there.
    ...(cpuQuotaUs === 0 ? {} : { cpuQuotaUs }),
    ...(cpuPeriodUs > 0 ? { cpuPeriodUs } : {}),
    ...(cpuShares > 0 ? { cpuShares } : {}),
    ...(cpusetCpus === '' ? {} : { cpusetCpus }),
    ...(cpusetMems === '' ? {} : { cpusetMems }),
  };
}
