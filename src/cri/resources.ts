import type { MessageInitShape } from '@bufbuild/protobuf';
import type { LinuxContainerResources, LinuxContainerResourcesSchema } from '../gen/runtime/v1/api_pb.js';
import { invalid } from '../model/errors.ts';
import type { LinuxResources } from '../model/sandbox.ts';
import { toNumber } from './numbers.ts';
import type { FieldSupport, Support } from './support.ts';

const hugepages: Support = { refused: 'a limit above 0: guests are not backed by huge pages yet' };
const echoed = (what: string): Support => ({ ignored: `${what}; echoed in ContainerStatus` });

/** `linux.resources` of a container. */
export const containerResourcesFields: FieldSupport = {
  cpu_period: 'honoured',
  cpu_quota: 'honoured',
  cpu_shares: 'honoured',
  memory_limit_in_bytes: 'honoured',
  oom_score_adj: 'honoured',
  cpuset_cpus: 'honoured',
  cpuset_mems: 'honoured',
  hugepage_limits: hugepages,
  unified: echoed('the VM’s cgroup has the limits above alone'),
  memory_swap_limit_in_bytes: echoed('swap is not limited by VM'),
};

/** `linux.overhead` of a sandbox. */
export const overheadFields: FieldSupport = {
  overhead: { ignored: 'only the memory counts: it is QEMU’s, beside the guest’s' },
  'overhead.memory_limit_in_bytes': 'honoured',
  'overhead.hugepage_limits': hugepages,
};

/** `linux.resources` of a sandbox. */
export const sandboxResourcesFields: FieldSupport = {
  resources: { ignored: 'each container’s own resources decide' },
  'resources.hugepage_limits': hugepages,
};

/** Resources as they are kept and echoed. Throws INVALID for numbers out of range and for huge pages. */
export function resourcesFromProto(field: string, proto: LinuxContainerResources): LinuxResources {
  const number = (name: string, value: bigint): number => toNumber(`${field}.${name}`, value);
  return {
    cpuPeriodUs: number('cpu_period', proto.cpuPeriod),
    cpuQuotaUs: number('cpu_quota', proto.cpuQuota),
    cpuShares: number('cpu_shares', proto.cpuShares),
    memoryLimitBytes: number('memory_limit_in_bytes', proto.memoryLimitInBytes),
    memorySwapLimitBytes: number('memory_swap_limit_in_bytes', proto.memorySwapLimitInBytes),
    oomScoreAdj: number('oom_score_adj', proto.oomScoreAdj),
    cpusetCpus: proto.cpusetCpus,
    cpusetMems: proto.cpusetMems,
    unified: proto.unified,
    hugepageLimits: proto.hugepageLimits.map(({ pageSize, limit }) => {
      // A kubelet lists every page size of the node, those without a limit as 0.
      if (limit > 0n) throw invalid(`${field}.hugepage_limits`, `${pageSize} pages are asked for; accepted: a limit of 0`);
      return { pageSize, limitBytes: 0 };
    }),
  };
}

/** Resources as the kubelet gave them. */
export function resourcesToProto(resources: LinuxResources): MessageInitShape<typeof LinuxContainerResourcesSchema> {
  return {
    cpuPeriod: BigInt(resources.cpuPeriodUs),
    cpuQuota: BigInt(resources.cpuQuotaUs),
    cpuShares: BigInt(resources.cpuShares),
    memoryLimitInBytes: BigInt(resources.memoryLimitBytes),
    memorySwapLimitInBytes: BigInt(resources.memorySwapLimitBytes),
    oomScoreAdj: BigInt(resources.oomScoreAdj),
    cpusetCpus: resources.cpusetCpus,
    cpusetMems: resources.cpusetMems,
    unified: resources.unified,
    hugepageLimits: resources.hugepageLimits.map(({ pageSize, limitBytes }) => ({ pageSize, limit: BigInt(limitBytes) })),
  };
}
