import type { LeafLimits } from '../cgroup/cgroup.ts';
import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/sandbox.ts';
import { parseAnnotations } from './annotations.ts';
import { sizeVm, type SizingOptions } from './sizing.ts';

/** The limits of a VM's cgroup leaf, from what its container asks for; what it does not ask for is left out. */
export function leafLimits(sandbox: Sandbox, container: Container, sizing: SizingOptions): LeafLimits {
  const { resources } = container.config;
  const size = sizeVm(resources, sandbox.config.overhead, parseAnnotations(sandbox.config.annotations), sizing);
  return {
    ...(size.leafMemoryBytes === undefined ? {} : { memoryLimitBytes: size.leafMemoryBytes }),
    // -1, "no quota" in words, also takes one away that was there.
    ...(resources?.cpuQuotaUs ? { cpuQuotaUs: resources.cpuQuotaUs } : {}),
    ...(size.cpuPeriodUs === undefined ? {} : { cpuPeriodUs: size.cpuPeriodUs }),
    ...(size.cpuShares === undefined ? {} : { cpuShares: size.cpuShares }),
    ...(resources?.cpusetCpus ? { cpusetCpus: resources.cpusetCpus } : {}),
    ...(resources?.cpusetMems ? { cpusetMems: resources.cpusetMems } : {}),
  };
}
