import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCgroups } from '../../../src/cgroup/cgroup.ts';
import { tempDir } from '../../lib/temp.ts';

// Made-up trees on an ordinary file system: which groups are made and what is written where. What the kernel makes of it is the
// integration tests' matter.

const id = 'ab'.repeat(32);

interface Tree {
  readonly root: string;
  readonly mountsFile: string;
  readonly systemdDir: string;
  readonly read: (...path: readonly string[]) => string;
  readonly groups: (hierarchy: string) => readonly string[];
}

function tree(mounts: readonly string[]): Tree {
  const root = tempDir();
  const mountsFile = join(root, 'mounts');
  writeFileSync(mountsFile, mounts.map((line) => `${line.replaceAll('@', root)}\n`).join(''));
  return {
    root,
    mountsFile,
    systemdDir: join(root, 'systemd-runs'),
    read: (...path) => readFileSync(join(root, ...path), 'utf8'),
    groups: (hierarchy) => {
      const dir = join(root, hierarchy);
      const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
        .toSorted();
    },
  };
}

function v1(): Tree {
  const made = tree([
    'cgroup @/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0',
    'cgroup @/cpuset cgroup rw,cpuset 0 0',
    'cgroup @/memory cgroup rw,memory 0 0',
    'cgroup2 @/unified cgroup2 rw 0 0',
  ]);
  for (const dir of ['cpu,cpuacct', 'cpuset', 'memory', 'unified']) mkdirSync(join(made.root, dir));
  writeFileSync(join(made.root, 'cpuset/cpuset.cpus'), '0-3\n');
  writeFileSync(join(made.root, 'cpuset/cpuset.mems'), '0\n');
  return made;
}

function v2(): Tree {
  const made = tree(['cgroup2 @/cgroup cgroup2 rw 0 0']);
  mkdirSync(join(made.root, 'cgroup/kubepods/pod1'), { recursive: true });
  for (const dir of ['', 'kubepods', 'kubepods/pod1']) {
    writeFileSync(join(made.root, 'cgroup', dir, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb\n');
    writeFileSync(join(made.root, 'cgroup', dir, 'cgroup.subtree_control'), dir === '' ? 'cpu memory\n' : '\n');
  }
  return made;
}

describe('v1', () => {
  it('makes the leaf in every hierarchy, with a child for vCPU threads where cpu is', async () => {
    const { read, groups, ...options } = v1();
    const cgroups = await makeCgroups({ driver: 'auto', ...options });
    expect(cgroups).toMatchObject({ driver: 'cgroupfs', version: 1 });
    const limits = { cpuQuotaUs: 30_000, cpuPeriodUs: 100_000, cpuShares: 204, memoryLimitBytes: 2 ** 27 };
    for (let again = 0; again < 2; again += 1) await cgroups.makeLeaf('/kubepods/pod1', id, limits);
    const leaf = `kubepods/pod1/${id}`;
    expect(groups('memory')).toEqual(['kubepods', 'kubepods/pod1', leaf]);
    expect(groups('unified')).toEqual(['kubepods', 'kubepods/pod1', leaf]);
    expect(groups('cpu,cpuacct')).toEqual(['kubepods', 'kubepods/pod1', leaf, `${leaf}/vcpu`]);
    expect(read('cpuset', leaf, 'cpuset.cpus')).toBe('0-3');
    expect(read('cpuset', 'kubepods', 'cpuset.mems')).toBe('0');
    expect(read('memory', leaf, 'memory.limit_in_bytes')).toBe(String(2 ** 27));
    expect(read('cpu,cpuacct', leaf, 'cpu.shares')).toBe('204');
    expect(read('cpu,cpuacct', leaf, 'vcpu/cpu.cfs_quota_us')).toBe('30000');
    expect(existsSync(join(options.root, 'cpu,cpuacct', leaf, 'cpu.cfs_quota_us'))).toBe(false);
  });

  it('removes parents that nobody else makes and removes: those in the v2 hierarchy beside, once they are empty', async () => {
    const { groups, read: _read, ...options } = v1();
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    const place = '/kubepods/burstable/pod1';
    const other = 'cd'.repeat(32);
    await cgroups.makeLeaf(place, id, {});
    await cgroups.makeLeaf('/kubepods/pod2', other, {});
    rmSync(join(options.root, 'cpuset', place, id), { recursive: true }); // an ordinary directory with files cannot be removed as a group is
    await cgroups.removeLeaf(place, id);
    expect(groups('memory')).toEqual(['kubepods', 'kubepods/burstable', place.slice(1), 'kubepods/pod2', `kubepods/pod2/${other}`]);
    expect(groups('unified')).toEqual(['kubepods', 'kubepods/pod2', `kubepods/pod2/${other}`]);
  });

  it('moves processes in every hierarchy and vCPU threads in one', async () => {
    const { read, groups: _groups, ...options } = v1();
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    await cgroups.makeLeaf('', id, {});
    await cgroups.addMembers('', id, { pids: [41], vcpuTids: [43] });
    for (const dir of ['cpu,cpuacct', 'cpuset', 'memory', 'unified']) expect(read(dir, 'vmlet', id, 'cgroup.procs')).toBe('41');
    expect(read('cpu,cpuacct', 'vmlet', id, 'vcpu/tasks')).toBe('43');
  });

  it('keeps CPUs that a group has, and sets those that are asked for', async () => {
    const { read, groups: _groups, ...options } = v1();
    mkdirSync(join(options.root, 'cpuset/kubepods'));
    writeFileSync(join(options.root, 'cpuset/kubepods/cpuset.cpus'), '1\n');
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    await cgroups.makeLeaf('/kubepods', id, { cpusetMems: '0-1' });
    expect(read('cpuset/kubepods/cpuset.cpus')).toBe('1\n');
    expect(read('cpuset/kubepods', id, 'cpuset.cpus')).toBe('1');
    expect(read('cpuset/kubepods', id, 'cpuset.mems')).toBe('0-1');
  });

  it('counts OOM kills, none where the leaf or the controller is not', async () => {
    const { read: _read, groups: _groups, ...options } = v1();
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    expect(await cgroups.oomKills('', id)).toBe(0);
    await cgroups.makeLeaf('', id, {});
    writeFileSync(join(options.root, 'memory/vmlet', id, 'memory.oom_control'), 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n');
    expect(await cgroups.oomKills('', id)).toBe(2);
  });
});

describe('v2', () => {
  it('makes a domain leaf with a threaded child, and enables what is missing on the way', async () => {
    const { read, groups, ...options } = v2();
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    expect(cgroups.version).toBe(2);
    await cgroups.makeLeaf('/kubepods/pod1', id, { memoryLimitBytes: 2 ** 27, cpuQuotaUs: -1, cpuPeriodUs: 100_000 });
    const leaf = `kubepods/pod1/${id}`;
    expect(groups('cgroup')).toEqual(['kubepods', 'kubepods/pod1', leaf, `${leaf}/vcpu`]);
    expect(read('cgroup/cgroup.subtree_control')).toBe('+cpuset +io');
    expect(read('cgroup/kubepods/pod1/cgroup.subtree_control')).toBe('+cpu +cpuset +io +memory');
    expect(read('cgroup', leaf, 'vcpu/cgroup.type')).toBe('threaded');
    await cgroups.addMembers('/kubepods/pod1', id, { pids: [41], vcpuTids: [43] });
    expect(read('cgroup', leaf, 'cgroup.procs')).toBe('41');
    expect(read('cgroup', leaf, 'vcpu/cgroup.threads')).toBe('43');
  });

  it('writes limits of the controllers that the parent gives', async () => {
    const { read, groups: _groups, ...options } = v2();
    const cgroups = await makeCgroups({ driver: 'cgroupfs', ...options });
    await cgroups.makeLeaf('/kubepods/pod1', id, {});
    const leaf = `cgroup/kubepods/pod1/${id}`;
    writeFileSync(join(options.root, 'cgroup/kubepods/pod1/cgroup.subtree_control'), 'cpu\n');
    await cgroups.applyLimits('/kubepods/pod1', id, { memoryLimitBytes: 1, cpuShares: 2, cpuQuotaUs: 5000, cpuPeriodUs: 100_000 });
    expect(existsSync(join(options.root, leaf, 'memory.max'))).toBe(false);
    expect(read(leaf, 'cpu.weight')).toBe('1');
    expect(read(leaf, 'vcpu/cpu.max')).toBe('5000 100000');
    writeFileSync(join(options.root, leaf, 'memory.events'), 'low 0\noom 3\noom_kill 1\noom_group_kill 0\n');
    expect(await cgroups.oomKills('/kubepods/pod1', id)).toBe(1);
  });

  it('names leaves as scopes in their slices with systemd', async () => {
    const { read: _read, groups, ...options } = v2();
    mkdirSync(options.systemdDir);
    const cgroups = await makeCgroups({ driver: 'auto', ...options });
    expect(cgroups.driver).toBe('systemd');
    rmSync(join(options.root, 'cgroup/kubepods'), { recursive: true });
    await cgroups.makeLeaf('/kubepods.slice/kubepods-pod1.slice', id, {});
    expect(groups('cgroup')).toContain(`kubepods.slice/kubepods-pod1.slice/vmlet-${id}.scope/vcpu`);
  });
});

it('refuses a host without control groups, naming the fix', async () => {
  await expect(makeCgroups({ driver: 'auto', mountsFile: '/dev/null' })).rejects.toThrow('mount them at /sys/fs/cgroup');
});
