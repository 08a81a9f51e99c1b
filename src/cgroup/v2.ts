import { dirname, join } from 'node:path';
import { countOf, makeGroups, readGroupFile, removeGroup, removeIfEmpty, writeGroupFile, writeLimitFile } from './directory.ts';
import type { LeafPlace } from './leaf-path.ts';
import type { LeafGroups } from './leaf.ts';
import { limitWritesV2 } from './limit-files.ts';
import { groupFilesV2, groupUsageV2, leafFilesV2, leafTextsV2 } from './usage-v2.ts';
import { leafUsage, readGroup } from './usage.ts';

/** The threaded child of a leaf that holds the vCPU threads. */
const vcpuGroup = 'vcpu';

/** Controllers that a leaf is to have, where the host has them. */
const wanted = ['cpu', 'cpuset', 'io', 'memory', 'pids'];

/**
 * Leaves with cgroup v2: a domain group whose child `vcpu` is threaded (cgroup-v2.rst, "Threads"), so that QEMU as a whole has the memory
 * limit and its vCPU threads alone the quota.
 */
export function makeLeafGroupsV2(root: string): LeafGroups {
  const dirOf = ({ parent, leaf }: LeafPlace): string => join(root, ...parent, leaf);

  return {
    async make(place) {
      await makeGroups(root, [...place.parent, place.leaf], async (_dir, parent) => enableControllers(parent, wanted));
      const leaf = dirOf(place);
      await makeGroups(leaf, [vcpuGroup], async (dir) => {
        if ((await readGroupFile(dir, 'cgroup.type')) !== 'threaded') await writeGroupFile(dir, 'cgroup.type', 'threaded');
      });
      await enableControllers(leaf, ['cpu']); // the one of ours that may be enabled below a group that has processes
    },
    async add(place, { pids, vcpuTids }) {
      const leaf = dirOf(place);
      for (const pid of pids) await writeGroupFile(leaf, 'cgroup.procs', String(pid));
      for (const tid of vcpuTids) await writeGroupFile(join(leaf, vcpuGroup), 'cgroup.threads', String(tid));
    },
    async limit(place, limits) {
      const leaf = dirOf(place);
      const vcpu = join(leaf, vcpuGroup);
      const present = new Set((await readGroupFile(dirname(leaf), 'cgroup.subtree_control')).split(' '));
      for (const { controller, group, file, text } of limitWritesV2(limits, await readGroupFile(vcpu, 'cpu.max'))) {
        if (present.has(controller)) await writeLimitFile(group === 'leaf' ? leaf : vcpu, file, text);
      }
    },
    oomKills: async (place) => countOf(await readGroupFile(dirOf(place), 'memory.events'), 'oom_kill'),
    async usage(place) {
      const texts = readGroup(leafFilesV2.map((file) => [dirOf(place), file]));
      return texts && leafUsage(texts, leafTextsV2);
    },
    async groupUsage(path) {
      const texts = readGroup(groupFilesV2.map((file) => [join(root, ...path), file]));
      return texts && groupUsageV2(texts);
    },
    async remove(place) {
      await removeGroup(join(dirOf(place), vcpuGroup));
      await removeGroup(dirOf(place));
      if (place.isDefaultParent) await removeIfEmpty(join(root, ...place.parent));
    },
  };
}

/** Gives the groups below `dir` those of `controllers` that it has and that they have not yet. */
async function enableControllers(dir: string, controllers: readonly string[]): Promise<void> {
  const available = (await readGroupFile(dir, 'cgroup.controllers')).split(' ');
  const enabled = (await readGroupFile(dir, 'cgroup.subtree_control')).split(' ');
  const missing = controllers.filter((name) => available.includes(name) && !enabled.includes(name));
  if (missing.length > 0) await writeGroupFile(dir, 'cgroup.subtree_control', missing.map((name) => `+${name}`).join(' '));
}
