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

/** The processes and threads of one VM. */
export interface LeafMembers {
  /** Whole processes: QEMU, helpers. */
  readonly pids: readonly number[];
  /** vCPU threads of QEMU, to which the CPU quota applies. */
  readonly vcpuTids: readonly number[];
}

/** Control groups on this node, v1 or v2. A VM's leaf is `<parent>/<container id>` (cgroupfs) or `<slice>/vmlet-<container id>.scope` (systemd). */
export interface Cgroups {
  /** Found on the host or configured; what RuntimeConfig answers. */
  readonly driver: 'cgroupfs' | 'systemd';
  readonly version: 1 | 2;
  /** Makes the leaf below `parent` (CRI's cgroupfs-style path; empty: `/vmlet`) in every hierarchy. Idempotent. */
  readonly makeLeaf: (parent: string, containerId: string, limits: LeafLimits) => Promise<void>;
  /** Moves processes into the leaf, and vCPU threads below it. A process that is gone is an error. */
  readonly addMembers: (parent: string, containerId: string, members: LeafMembers) => Promise<void>;
  readonly applyLimits: (parent: string, containerId: string, limits: LeafLimits) => Promise<void>;
  /** How often the kernel killed in this leaf for lack of memory; 0 when the leaf is gone. Read it before the leaf is removed. */
  readonly oomKills: (parent: string, containerId: string) => Promise<number>;
  /** Removes the leaf; absent is fine. Throws EBUSY's error while processes live in it for 2 s. A parent that we made ourselves (`/vmlet`) goes when empty. */
  readonly removeLeaf: (parent: string, containerId: string) => Promise<void>;
}
