import type { GroupUsage, LeafUsage } from '../model/statistics.ts';
import type { LeafPlace } from './leaf-path.ts';
import type { LeafLimits } from './limit-files.ts';

/** The processes and threads of one VM. */
export interface LeafMembers {
  /** Whole processes: QEMU, helpers. */
  readonly pids: readonly number[];
  /** vCPU threads of QEMU, to which the CPU quota applies. */
  readonly vcpuTids: readonly number[];
}

/** What v1 and v2 each do for a leaf; see `Cgroups`. */
export interface LeafGroups {
  readonly make: (place: LeafPlace) => Promise<void>;
  readonly add: (place: LeafPlace, members: LeafMembers) => Promise<void>;
  readonly limit: (place: LeafPlace, limits: LeafLimits) => Promise<void>;
  readonly oomKills: (place: LeafPlace) => Promise<number>;
  readonly usage: (place: LeafPlace) => Promise<LeafUsage | undefined>;
  /** Of the group at this path, names from the root down. */
  readonly groupUsage: (path: readonly string[]) => Promise<GroupUsage | undefined>;
  readonly remove: (place: LeafPlace) => Promise<void>;
}
