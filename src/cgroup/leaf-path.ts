import { invalid } from '../model/errors.ts';

/** Who makes the groups above ours, and so how they are named. */
export type CgroupDriver = 'cgroupfs' | 'systemd';

/** A leaf's place below the root of each hierarchy. */
export interface LeafPlace {
  /** Names of the parent's groups, from the root down. */
  readonly parent: readonly string[];
  readonly leaf: string;
  /** The parent is the one for sandboxes that name none: it is ours. */
  readonly isDefaultParent: boolean;
}

/**
 * Places the leaf of a container. `parent` is CRI's `cgroup_parent`: a path with cgroupfs, with systemd a slice's name or a path that
 * ends with one (`/kubepods.slice/kubepods-pod1.slice`). Throws INVALID for a parent that does not stay below the root or is no slice.
 */
export function leafPlace(driver: CgroupDriver, parent: string, containerId: string): LeafPlace {
  if (!/^[A-Za-z0-9_.-]+$/.test(containerId) || /^\.+$/.test(containerId)) throw invalid('container id', 'is no file name');
  return { ...parentPlace(driver, parent), leaf: leafName(driver, containerId) };
}

function leafName(driver: CgroupDriver, containerId: string): string {
  return driver === 'cgroupfs' ? containerId : `vmlet-${containerId}.scope`;
}

/** The parent, as `leafPlace` takes it, of the leaf that a process lives in by its `/proc/PID/cgroup`; `undefined` when it lives in no such leaf. */
export function parentOfLeaf(driver: CgroupDriver, groups: string, containerId: string): string | undefined {
  for (const line of groups.split('\n')) {
    const names = line.replace(/^\d+:[^:]*:/, '').split('/');
    const leaf = names.lastIndexOf(leafName(driver, containerId));
    if (leaf < 0) continue;
    const parent = names.slice(0, leaf).join('/');
    return parent === `/${parentPlace(driver, '').parent.join('/')}` ? '' : parent;
  }
  return undefined;
}

/** Places a pod's own group. Throws as `leafPlace`. */
export function parentPlace(driver: CgroupDriver, parent: string): Omit<LeafPlace, 'leaf'> {
  const given = namesOf(parent);
  const isDefaultParent = given.length === 0;
  if (driver === 'cgroupfs') return { parent: isDefaultParent ? ['vmlet'] : given, isDefaultParent };
  return { parent: slicePath(given.at(-1) ?? 'vmlet.slice'), isDefaultParent };
}

function namesOf(parent: string): readonly string[] {
  const names = parent.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..') || parent.includes('\0')) throw invalid('linux.cgroup_parent', 'must be a path without ".." parts');
  return names;
}

/** The directories of a slice: `a-b.slice` lies in `a.slice` (systemd.slice(5)). */
function slicePath(slice: string): readonly string[] {
  if (slice === '-.slice') return [];
  const stem = slice.endsWith('.slice') ? slice.slice(0, -'.slice'.length) : '';
  const parts = stem.split('-');
  if (parts.includes('')) throw invalid('linux.cgroup_parent', `must be a slice (NAME.slice) with the cgroup driver systemd, not ${slice}`);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`);
}
