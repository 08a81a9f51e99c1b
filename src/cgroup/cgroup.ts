import { readFile, stat } from 'node:fs/promises';
import { isErrno } from '../lib/errno.ts';
import { invalid } from '../model/errors.ts';
import type { GroupUsage, LeafUsage } from '../model/statistics.ts';
import { layoutFromMounts, type Layout } from './hierarchies.ts';
import { leafPlace, parentOfLeaf, parentPlace, type CgroupDriver } from './leaf-path.ts';
import type { LeafGroups, LeafMembers } from './leaf.ts';
import type { LeafLimits } from './limit-files.ts';
import { makeLeafGroupsV1 } from './v1.ts';
import { makeLeafGroupsV2 } from './v2.ts';

/** @public */
export type { LeafMembers } from './leaf.ts';
/** @public */
export type { LeafLimits } from './limit-files.ts';

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
  /** What the leaf's processes use, from one pass of reads; `undefined` when the leaf is gone. */
  readonly usage: (parent: string, containerId: string) => Promise<LeafUsage | undefined>;
  /** What the pod's own group uses; `undefined` when it is gone, or when the pod has none (an empty `parent`). */
  readonly podUsage: (parent: string) => Promise<GroupUsage | undefined>;
  /** The parent of the leaf that a process of the container lives in; `undefined` when it lives elsewhere or is gone. */
  readonly parentOf: (pid: number, containerId: string) => Promise<string | undefined>;
  /** Removes the leaf; absent is fine. Throws EBUSY's error while processes live in it for 2 s. A parent that we made ourselves (`/vmlet`) goes when empty. */
  readonly removeLeaf: (parent: string, containerId: string) => Promise<void>;
}

/** Where control groups are looked for. */
export interface CgroupsOptions {
  /** `auto`: systemd where systemd runs the host, else cgroupfs. Must equal the kubelet's. */
  readonly driver: 'auto' | CgroupDriver;
  /** Mount table to read; default `/proc/self/mounts`. */
  readonly mountsFile?: string;
  /** Directory whose presence tells that systemd runs the host (sd_booted(3)); default `/run/systemd/system`. */
  readonly systemdDir?: string;
}

/**
 * Finds the host's control groups. With the driver `systemd` the leaf's directory has a scope's name and lies in its slice, but is made
 * by mkdir: a scope that systemd knows would need its D-Bus, and systemd leaves groups alone that it did not make in a slice that exists
 * (a slice without units of its own may be collected by it; the kubelet's pod slices are units). Throws INVALID when none are mounted.
 */
export async function makeCgroups(options: CgroupsOptions): Promise<Cgroups> {
  const { mountsFile = '/proc/self/mounts', systemdDir = '/run/systemd/system' } = options;
  const layout = layoutFromMounts(await readFile(mountsFile, 'utf8'));
  if (!layout) throw invalid('cgroup', `no control groups are mounted (${mountsFile}); mount them at /sys/fs/cgroup`);
  const driver = options.driver === 'auto' ? ((await isDirectory(systemdDir)) ? 'systemd' : 'cgroupfs') : options.driver;
  const groups = leafGroupsOf(layout);
  return {
    driver,
    version: layout.version,
    async makeLeaf(parent, containerId, limits) {
      const place = leafPlace(driver, parent, containerId);
      await groups.make(place);
      await groups.limit(place, limits);
    },
    addMembers: async (parent, containerId, members) => groups.add(leafPlace(driver, parent, containerId), members),
    applyLimits: async (parent, containerId, limits) => groups.limit(leafPlace(driver, parent, containerId), limits),
    oomKills: async (parent, containerId) => groups.oomKills(leafPlace(driver, parent, containerId)),
    usage: async (parent, containerId) => groups.usage(leafPlace(driver, parent, containerId)),
    async podUsage(parent) {
      const { parent: path, isDefaultParent } = parentPlace(driver, parent);
      return isDefaultParent || path.length === 0 ? undefined : groups.groupUsage(path);
    },
    parentOf: async (pid, containerId) => parentOfLeaf(driver, await readGroups(pid), containerId),
    removeLeaf: async (parent, containerId) => groups.remove(leafPlace(driver, parent, containerId)),
  };
}

function leafGroupsOf({ version, hierarchies }: Layout): LeafGroups {
  return version === 1 ? makeLeafGroupsV1(hierarchies) : makeLeafGroupsV2(hierarchies[0]?.dir ?? '/sys/fs/cgroup');
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function readGroups(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/cgroup`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}
