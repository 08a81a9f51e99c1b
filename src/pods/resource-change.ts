import type { Container } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import type { LinuxResources, Sandbox } from '../model/sandbox.ts';
import { parseAnnotations } from './annotations.ts';

const nothing: LinuxResources = {
  cpuPeriodUs: 0,
  cpuQuotaUs: 0,
  cpuShares: 0,
  memoryLimitBytes: 0,
  memorySwapLimitBytes: 0,
  oomScoreAdj: 0,
  cpusetCpus: '',
  cpusetMems: '',
  unified: {},
  hugepageLimits: [],
};

/** Resources after an update: what it leaves empty stays as it was, as containerd and CRI-O read UpdateContainerResources. */
export function mergeResources(before: LinuxResources | undefined, change: LinuxResources): LinuxResources {
  const old = before ?? nothing;
  return {
    cpuPeriodUs: change.cpuPeriodUs || old.cpuPeriodUs,
    cpuQuotaUs: change.cpuQuotaUs || old.cpuQuotaUs,
    cpuShares: change.cpuShares || old.cpuShares,
    memoryLimitBytes: change.memoryLimitBytes || old.memoryLimitBytes,
    memorySwapLimitBytes: change.memorySwapLimitBytes || old.memorySwapLimitBytes,
    oomScoreAdj: change.oomScoreAdj || old.oomScoreAdj,
    cpusetCpus: change.cpusetCpus || old.cpusetCpus,
    cpusetMems: change.cpusetMems || old.cpusetMems,
    unified: { ...old.unified, ...change.unified },
    hugepageLimits: change.hugepageLimits.length > 0 ? change.hugepageLimits : old.hugepageLimits,
  };
}

/**
 * The container with its resources changed. Throws INVALID for what the VM cannot have while it is what it is: memory and vCPUs are fixed
 * when it is created.
 */
export function withResources(sandbox: Sandbox, container: Container, change: LinuxResources): Container {
  const before = container.config.resources;
  const resources = mergeResources(before, change);
  if (resources.memoryLimitBytes !== (before?.memoryLimitBytes ?? 0)) {
    throw invalid('resources.limits.memory', `a VM's memory is fixed when it is created; ${restart}`);
  }
  const vcpus = resources.cpuQuotaUs > 0 ? Math.ceil(resources.cpuQuotaUs / (resources.cpuPeriodUs || 100_000)) : 0;
  const isPinned = parseAnnotations(sandbox.config.annotations).vcpus !== undefined;
  if (vcpus > container.vm.vcpus && !isPinned) {
    const wanted = `${vcpus} vCPUs are needed and the VM has ${container.vm.vcpus}, which are fixed when it is created`;
    throw invalid('resources.limits.cpu', `${wanted}; ${restart}`);
  }
  return { ...container, config: { ...container.config, resources } };
}

const restart = 'with `resizePolicy: RestartContainer` the kubelet makes the VM anew';
