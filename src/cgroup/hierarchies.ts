/** Where a hierarchy of control groups is mounted, and what it controls. */
export interface Hierarchy {
  readonly dir: string;
  /** v1: its controllers (`name=systemd` has none that limits anything); empty for a v2 hierarchy beside v1 ones. */
  readonly controllers: readonly string[];
}

/** The hierarchies of a host: several with v1 (a `unified` one among them), one with v2. */
export interface Layout {
  readonly version: 1 | 2;
  readonly hierarchies: readonly Hierarchy[];
}

/** The controllers that cgroup v1 knows by these mount options (cgroups(7)); other options of the mount are none. */
const v1Controllers = new Set([
  'blkio',
  'cpu',
  'cpuacct',
  'cpuset',
  'devices',
  'freezer',
  'hugetlb',
  'memory',
  'misc',
  'net_cls',
  'net_prio',
  'perf_event',
  'pids',
  'rdma',
]);

/**
 * Reads the layout from the text of /proc/self/mounts: v1 as soon as one v1 hierarchy with a controller is mounted. A hierarchy that
 * is mounted more than once counts once. `undefined`: no control groups are mounted.
 */
export function layoutFromMounts(mounts: string): Layout | undefined {
  const v1 = new Map<string, Hierarchy>();
  const v2: Hierarchy[] = [];
  for (const line of mounts.split('\n')) {
    const [, target = '', type, options = ''] = line.split(' ');
    const dir = unescapeMount(target);
    if (type === 'cgroup2') v2.push({ dir, controllers: [] });
    if (type !== 'cgroup') continue;
    const controllers = options.split(',').filter((option) => v1Controllers.has(option) || option.startsWith('name='));
    const key = controllers.join(',');
    if (controllers.length > 0 && !v1.has(key)) v1.set(key, { dir, controllers });
  }
  const [unified] = v2;
  const limiting = [...v1.values()].some(({ controllers }) => controllers.some((name) => v1Controllers.has(name)));
  if (limiting) return { version: 1, hierarchies: [...v1.values(), ...(unified ? [unified] : [])] };
  return unified ? { version: 2, hierarchies: [unified] } : undefined;
}

/** Blanks and backslashes are written as `\ooo` in the mount table (proc(5)). */
function unescapeMount(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}
