import { readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeGroup } from '../../src/cgroup/directory.ts';
import { isErrno } from '../../src/lib/errno.ts';

interface CgroupMount {
  readonly path: string;
  readonly type: string;
  readonly options: readonly string[];
}

function mounts(): CgroupMount[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const all = lines
    .map((line) => line.split(' '))
    .map(([, path = '', type = '', options = '']) => ({ path, type, options: options.split(',') }));
  return all.filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
}

function allMounts(): string[] {
  return mounts().map(({ path }) => path);
}

/** Mount points of the hierarchies that a kubelet makes pod cgroups in: all of v1, or v2 where there is no v1. */
function hierarchies(): { readonly path: string; readonly kind: 'v1' | 'cpuset' | 'v2' }[] {
  const all = mounts();
  const v1 = all.filter(({ type }) => type === 'cgroup');
  if (v1.length === 0) return all.map(({ path }) => ({ path, kind: 'v2' }));
  return v1.map(({ path, options }) => ({ path, kind: options.includes('cpuset') ? 'cpuset' : 'v1' }));
}

/** Makes a pod's cgroup (`/kubepods/burstable/podUID`) in every hierarchy, as the kubelet does before RunPodSandbox. */
export async function makePodCgroup(cgroup: string): Promise<void> {
  for (const { path, kind } of hierarchies()) {
    let parent = path;
    for (const part of cgroup.split('/').filter((name) => name !== '')) {
      if (kind === 'v2') await passControllersOn(parent);
      const child = join(parent, part);
      await mkdir(child).catch(ignore('EEXIST'));
      if (kind === 'cpuset') await inheritCpuset(parent, child);
      parent = child;
    }
  }
}

/**
 * Removes a pod's cgroup. Throws when something is still in it: a cgroup that the runtime has left behind, or a process.
 * Absent is fine.
 */
export async function removePodCgroup(cgroup: string): Promise<void> {
  for (const { path } of hierarchies()) await rmdir(join(path, cgroup)).catch(ignore('ENOENT'));
}

/** Removes a cgroup with all below it, in every hierarchy. Throws when a process lives there, and not only ends. */
export async function removeCgroupTree(cgroup: string): Promise<void> {
  for (const path of allMounts()) await removeTree(join(path, cgroup));
}

/**
 * All cgroups below `cgroup` that the kubelet did not make, as absolute paths: what lies below a pod's cgroup, and everything in a v2
 * hierarchy beside v1 ones.
 */
export async function foreignCgroups(cgroup: string): Promise<string[]> {
  const found: string[] = [];
  const kubelets = new Set(hierarchies().map(({ path }) => path));
  for (const path of allMounts()) {
    const entries = await readdir(join(path, cgroup), { recursive: true, withFileTypes: true }).catch(() => []);
    const dirs = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    found.push(...dirs.filter((dir) => !kubelets.has(path) || /\/pod[^/]+\/./.test(dir)));
  }
  return found;
}

async function removeTree(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(dir, entry.name));
  await removeGroup(dir);
}

async function passControllersOn(dir: string): Promise<void> {
  const controllers = (await readFile(join(dir, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const wanted = controllers.filter((name) => ['cpu', 'cpuset', 'io', 'memory', 'pids'].includes(name));
  await writeFile(join(dir, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
}

/** A new v1 cpuset is empty, and no process can enter it. */
async function inheritCpuset(parent: string, child: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if ((await readFile(join(child, file), 'utf8')).trim() === '')
      await writeFile(join(child, file), await readFile(join(parent, file), 'utf8'));
  }
}

function ignore(code: string): (error: unknown) => void {
  return (error) => {
    if (!isErrno(error, code)) throw error;
  };
}
