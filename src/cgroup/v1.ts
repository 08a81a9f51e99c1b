import { join } from 'node:path';
import { countOf, makeGroups, readGroupFile, removeGroup, removeIfEmpty, writeGroupFile, writeLimitFile } from './directory.ts';
import type { Hierarchy } from './hierarchies.ts';
import type { LeafPlace } from './leaf-path.ts';
import type { LeafGroups } from './leaf.ts';
import { limitWritesV1, type LimitWrite } from './limit-files.ts';
import { groupFilesV1, groupUsageV1, leafFilesV1, leafTextsV1 } from './usage-v1.ts';
import { leafUsage, readGroup, type GroupFile } from './usage.ts';

/** The child of a leaf that holds the vCPU threads, in the hierarchy of the `cpu` controller. */
const vcpuGroup = 'vcpu';

/**
 * Leaves with cgroup v1: the same path in every hierarchy, and `vcpu` below it where the `cpu` controller is, whose tasks alone have
 * the quota. In a v2 hierarchy beside them (`unified`) the leaf has members and no limits.
 */
export function makeLeafGroupsV1(hierarchies: readonly Hierarchy[]): LeafGroups {
  const dirIn = (hierarchy: Hierarchy, { parent, leaf }: LeafPlace): string => join(hierarchy.dir, ...parent, leaf);
  const hierarchyOf = (controller: string): Hierarchy | undefined =>
    hierarchies.find(({ controllers }) => controllers.includes(controller));
  const cpu = hierarchyOf('cpu');

  async function write(place: LeafPlace, { controller, group, file, text }: LimitWrite): Promise<void> {
    const hierarchy = hierarchyOf(controller);
    if (!hierarchy) return;
    const dir = dirIn(hierarchy, place);
    await writeLimitFile(group === 'leaf' ? dir : join(dir, vcpuGroup), file, text);
  }

  const filesIn = (files: readonly (readonly [string, string])[], path: readonly string[]): readonly GroupFile[] =>
    files.flatMap(([controller, file]) => {
      const hierarchy = hierarchyOf(controller);
      return hierarchy ? [[join(hierarchy.dir, ...path), file] as const] : [];
    });

  return {
    async make(place) {
      for (const hierarchy of hierarchies) {
        const names = [...place.parent, place.leaf, ...(hierarchy === cpu ? [vcpuGroup] : [])];
        const prepare = hierarchy.controllers.includes('cpuset') ? inheritCpuset : async (): Promise<void> => {};
        await makeGroups(hierarchy.dir, names, prepare);
      }
    },
    async add(place, { pids, vcpuTids }) {
      for (const hierarchy of hierarchies) {
        for (const pid of pids) await writeGroupFile(dirIn(hierarchy, place), 'cgroup.procs', String(pid));
      }
      if (!cpu) return;
      for (const tid of vcpuTids) await writeGroupFile(join(dirIn(cpu, place), vcpuGroup), 'tasks', String(tid));
    },
    async limit(place, limits) {
      for (const each of limitWritesV1(limits)) await write(place, each);
    },
    async oomKills(place) {
      const memory = hierarchyOf('memory');
      return memory ? countOf(await readGroupFile(dirIn(memory, place), 'memory.oom_control'), 'oom_kill') : 0;
    },
    async usage(place) {
      const texts = readGroup(filesIn(leafFilesV1, [...place.parent, place.leaf]));
      return texts && leafUsage(texts, leafTextsV1);
    },
    async groupUsage(path) {
      const texts = readGroup(filesIn(groupFilesV1, path));
      return texts && groupUsageV1(texts);
    },
    async remove(place) {
      if (cpu) await removeGroup(join(dirIn(cpu, place), vcpuGroup));
      for (const hierarchy of hierarchies) {
        await removeGroup(dirIn(hierarchy, place));
        const ours = parentsToRemove(hierarchy, place);
        for (const names of ours) await removeIfEmpty(join(hierarchy.dir, ...names));
      }
    },
  };
}

/**
 * The parents that go with their last leaf, innermost first: the default one, which is ours, and all of them in a v2 hierarchy beside
 * v1 ones: there a kubelet makes and removes none.
 */
function parentsToRemove({ controllers }: Hierarchy, { parent, isDefaultParent }: LeafPlace): readonly (readonly string[])[] {
  if (controllers.length === 0) return parent.map((_, index) => parent.slice(0, parent.length - index));
  return isDefaultParent ? [parent] : [];
}

/** A new v1 cpuset is empty and takes no process until it has CPUs and memory nodes (cpuset(7)). */
async function inheritCpuset(dir: string, parent: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if ((await readGroupFile(dir, file)) === '') await writeGroupFile(dir, file, await readGroupFile(parent, file));
  }
}
