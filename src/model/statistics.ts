import type { Container } from './container.ts';
import type { Sandbox } from './sandbox.ts';

/** One line of a pressure file (Documentation/accounting/psi.rst): shares of time in percent, and the time since the group was made. */
export interface Stall {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalNs: bigint;
}

/** How long some, and all, tasks of a group have waited for a resource. */
export interface Pressure {
  readonly some: Stall;
  readonly full: Stall;
}

/** CPU time of a control group with all below it; for a VM QEMU's own threads count too. */
export interface CpuTime {
  readonly usageNs: bigint;
  readonly userNs: bigint;
  readonly systemNs: bigint;
  /** cgroup v2 only. */
  readonly pressure?: Pressure;
}

/** Memory of a control group with all below it, bytes. */
export interface MemoryUse {
  readonly usageBytes: number;
  /** Usage less inactive file cache, never below 0: what the kubelet's eviction goes by. */
  readonly workingSetBytes: number;
  /** Anonymous memory. */
  readonly rssBytes: number;
  readonly cacheBytes: number;
  readonly mappedFileBytes: number;
  /** Of the group itself; `undefined` without one. */
  readonly limitBytes?: number;
  /** `undefined` where the kernel does not count swap. */
  readonly swapBytes?: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  /** cgroup v2 only. */
  readonly pressure?: Pressure;
}

/** What a control group uses; a part is absent when its controller is. */
export interface GroupUsage {
  readonly cpu?: CpuTime;
  readonly memory?: MemoryUse;
  /** cgroup v2 only. */
  readonly ioPressure?: Pressure;
}

/** How often and how long the CPU quota has held a VM's vCPUs. */
export interface Throttling {
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: bigint;
}

/** What a group did to a block device of the host. */
export interface DiskIo {
  /** `MAJOR:MINOR`. */
  readonly number: string;
  /** `/dev/vda`, or the number where the device has no name. */
  readonly device: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly writes: number;
}

/** What runs in a group. */
export interface Tasks {
  readonly processes: number;
  /** `undefined` without the controller `pids`. */
  readonly threads?: number;
  /** `undefined` for no limit. */
  readonly maxThreads?: number;
  readonly fileDescriptors: number;
  /** Those of the descriptors that are sockets. */
  readonly sockets: number;
}

/** The use of a VM's own control group. */
export interface LeafUsage extends GroupUsage {
  readonly throttling?: Throttling;
  readonly maxMemoryBytes?: number;
  readonly kernelMemoryBytes?: number;
  /** How often the memory limit was hit, and how often the kernel killed for it. */
  readonly limitHits?: number;
  readonly oomKills: number;
  readonly disks: readonly DiskIo[];
  readonly tasks: Tasks;
}

/** Counters of an interface as the guest sees it: `rx` is what the guest received. They begin anew with each start of the VM. */
export interface NicCounters {
  /** The name that the CNI gave the pod's interface, `eth0`. */
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** Space that files take, and the file system they are on; bytes and inodes. */
export interface FileUsage {
  /** Allocated blocks, not lengths: root disks are sparse. */
  readonly usedBytes: number;
  readonly inodesUsed: number;
  readonly filesystem: {
    /** A directory of that file system that stays when the files go. */
    readonly directory: string;
    readonly device: string;
    readonly sizeBytes: number;
    readonly inodes: number;
    readonly freeInodes: number;
  };
}

/** What was measured of a VM, and when (Unix time in nanoseconds). */
export interface ContainerSample {
  readonly atNs: bigint;
  readonly usage?: LeafUsage;
  readonly files?: FileUsage;
}

/** What was measured of a pod, and when (Unix time in nanoseconds). */
export interface SandboxSample {
  readonly atNs: bigint;
  /** Of the pod's own control group; absent when it has none. */
  readonly usage?: GroupUsage;
  /** Absent while no VM is on the pod's network. */
  readonly nics?: readonly NicCounters[];
}

/** A RUNNING container with its last sample; without one until the first has been taken. */
export interface ContainerStatistics {
  readonly container: Container;
  readonly sample?: ContainerSample;
}

/** A READY sandbox with its last sample and those of its RUNNING containers. */
export interface SandboxStatistics {
  readonly sandbox: Sandbox;
  readonly sample?: SandboxSample;
  readonly containers: readonly ContainerStatistics[];
}
