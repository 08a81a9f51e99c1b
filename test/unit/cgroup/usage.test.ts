import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCgroups, type Cgroups } from '../../../src/cgroup/cgroup.ts';
import { tempDir } from '../../lib/temp.ts';

// Made-up trees on an ordinary file system, with texts as kernels write them (6.18 with cgroup v1, 6.1 with v2).

const id = 'ab'.repeat(32);
const pod = 'kubepods/burstable/pod1';

interface Tree {
  readonly cgroups: Cgroups;
  readonly write: (path: string, text: string) => void;
  readonly remove: (path: string) => void;
}

async function tree(mounts: readonly string[], driver: 'cgroupfs' | 'systemd' = 'cgroupfs'): Promise<Tree> {
  const root = tempDir();
  const mountsFile = join(root, 'mounts');
  writeFileSync(mountsFile, mounts.map((line) => `${line.replaceAll('@', root)}\n`).join(''));
  return {
    cgroups: await makeCgroups({ driver, mountsFile }),
    write: (path, text) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    },
    remove: (path) => rmSync(join(root, path), { recursive: true }),
  };
}

const v1Mounts = ['cpu,cpuacct', 'memory', 'pids', 'blkio'].map((name) => `cgroup @/${name} cgroup rw,${name} 0 0`);
const v2Mounts = ['cgroup2 @/cgroup cgroup2 rw 0 0'];

const memoryStatV1 = `cache 1
rss 2
inactive_file 3
hierarchical_memory_limit 268435456
total_cache 20480000
total_rss 71303168
total_mapped_file 4096000
total_swap 8192
total_pgfault 31000
total_pgmajfault 17
total_inactive_file 12288000
`;

const memoryStatV2 = `anon 71303168
file 20480000
kernel 1253376
kernel_stack 163840
file_mapped 4096000
inactive_file 12288000
pgfault 31000
pgmajfault 17
`;

const pressure = `some avg10=1.25 avg60=0.50 avg300=0.10 total=1234567
full avg10=0.75 avg60=0.25 avg300=0.05 total=234567
`;

function fillV1({ write }: Tree): void {
  const leaf = `${pod}/${id}`;
  for (const [file, text] of Object.entries({
    [`cpu,cpuacct/${leaf}/cpuacct.usage`]: '98765432109\n',
    [`cpu,cpuacct/${leaf}/cpuacct.usage_user`]: '90000000000\n',
    [`cpu,cpuacct/${leaf}/cpuacct.usage_sys`]: '8765432109\n',
    [`cpu,cpuacct/${leaf}/vcpu/cpu.stat`]: 'nr_periods 400\nnr_throttled 40\nthrottled_time 6500000001\nnr_bursts 0\nburst_time 0\n',
    [`memory/${leaf}/memory.usage_in_bytes`]: '99614720\n',
    [`memory/${leaf}/memory.stat`]: memoryStatV1,
    [`memory/${leaf}/memory.limit_in_bytes`]: '268435456\n',
    [`memory/${leaf}/memory.max_usage_in_bytes`]: '100663296\n',
    [`memory/${leaf}/memory.kmem.usage_in_bytes`]: '1253376\n',
    [`memory/${leaf}/memory.failcnt`]: '3\n',
    [`memory/${leaf}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
    [`memory/${leaf}/cgroup.procs`]: `${process.pid}\n`,
    [`pids/${leaf}/pids.current`]: '9\n',
    [`pids/${leaf}/pids.max`]: '512\n',
    [`blkio/${leaf}/blkio.throttle.io_service_bytes_recursive`]:
      '7:99 Read 1000\n7:99 Write 2000\n7:99 Sync 0\n7:99 Total 3000\nTotal 3000\n',
    [`blkio/${leaf}/blkio.throttle.io_serviced_recursive`]: '7:99 Read 10\n7:99 Write 20\n7:99 Total 30\nTotal 30\n',
    [`cpu,cpuacct/${pod}/cpuacct.usage`]: '100000000000\n',
    [`memory/${pod}/memory.usage_in_bytes`]: '120000000\n',
    [`memory/${pod}/memory.stat`]: memoryStatV1,
    [`memory/${pod}/memory.limit_in_bytes`]: '9223372036854771712\n',
  })) {
    write(file, text);
  }
}

function fillV2({ write }: Tree, leaf = `${pod}/${id}`): void {
  for (const [file, text] of Object.entries({
    'cpu.stat': 'usage_usec 98765432\nuser_usec 90000000\nsystem_usec 8765432\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n',
    'vcpu/cpu.stat': 'usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 400\nnr_throttled 40\nthrottled_usec 6500000\n',
    'cpu.pressure': pressure,
    'memory.current': '99614720\n',
    'memory.stat': memoryStatV2,
    'memory.max': '268435456\n',
    'memory.peak': '100663296\n',
    'memory.swap.current': '8192\n',
    'memory.events': 'low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n',
    'memory.pressure': pressure,
    'io.pressure': pressure,
    'io.stat': '7:99 rbytes=1000 wbytes=2000 rios=10 wios=20 dbytes=0 dios=0\n7:98 \n',
    'pids.current': '9\n',
    'pids.max': 'max\n',
    'cgroup.procs': `${process.pid}\n`,
  })) {
    write(`cgroup/${leaf}/${file}`, text);
  }
}

const memory = {
  usageBytes: 99_614_720,
  workingSetBytes: 99_614_720 - 12_288_000,
  rssBytes: 71_303_168,
  cacheBytes: 20_480_000,
  mappedFileBytes: 4_096_000,
  limitBytes: 268_435_456,
  swapBytes: 8_192,
  pageFaults: 31_000,
  majorPageFaults: 17,
};
const leafParts = {
  maxMemoryBytes: 100_663_296,
  kernelMemoryBytes: 1_253_376,
  limitHits: 3,
  oomKills: 2,
  disks: [{ number: '7:99', device: '7:99', readBytes: 1000, writtenBytes: 2000, reads: 10, writes: 20 }],
};
const psi = {
  some: { avg10: 1.25, avg60: 0.5, avg300: 0.1, totalNs: 1_234_567_000n },
  full: { avg10: 0.75, avg60: 0.25, avg300: 0.05, totalNs: 234_567_000n },
};

describe('cgroup v1', () => {
  it('tells all of a leaf: what cpuacct and memory count with all below, the quota of the vCPU threads, no pressure', async () => {
    const made = await tree(v1Mounts);
    fillV1(made);
    expect(await made.cgroups.usage(`/${pod}`, id)).toEqual({
      cpu: { usageNs: 98_765_432_109n, userNs: 90_000_000_000n, systemNs: 8_765_432_109n },
      memory,
      throttling: { periods: 400, throttledPeriods: 40, throttledNs: 6_500_000_001n },
      ...leafParts,
      tasks: { processes: 1, threads: 9, maxThreads: 512, fileDescriptors: expect.any(Number), sockets: expect.any(Number) },
    });
  });

  it('tells a pod’s own group, with the kernel’s largest number as no limit', async () => {
    const made = await tree(v1Mounts);
    fillV1(made);
    const { limitBytes: _none, ...unlimited } = memory;
    expect(await made.cgroups.podUsage(`/${pod}`)).toEqual({
      cpu: { usageNs: 100_000_000_000n, userNs: 0n, systemNs: 0n },
      memory: { ...unlimited, usageBytes: 120_000_000, workingSetBytes: 120_000_000 - 12_288_000 },
    });
  });

  it('has no part whose controller is not there', async () => {
    const made = await tree(v1Mounts);
    fillV1(made);
    made.remove('memory');
    const usage = await made.cgroups.usage(`/${pod}`, id);
    expect(usage?.memory).toBeUndefined();
    expect(usage?.cpu?.usageNs).toBe(98_765_432_109n);
    expect(usage?.tasks.processes).toBe(0);
  });

  it('counts no swap where the kernel tells none', async () => {
    const made = await tree(v1Mounts);
    fillV1(made);
    made.write(`memory/${pod}/${id}/memory.stat`, memoryStatV1.replace(/^total_swap.*\n/m, ''));
    expect((await made.cgroups.usage(`/${pod}`, id))?.memory).not.toHaveProperty('swapBytes');
  });
});

describe('cgroup v2', () => {
  it('tells all of a leaf, with pressure in nanoseconds', async () => {
    const made = await tree(v2Mounts);
    fillV2(made);
    expect(await made.cgroups.usage(`/${pod}`, id)).toEqual({
      cpu: { usageNs: 98_765_432_000n, userNs: 90_000_000_000n, systemNs: 8_765_432_000n, pressure: psi },
      memory: { ...memory, pressure: psi },
      ioPressure: psi,
      throttling: { periods: 400, throttledPeriods: 40, throttledNs: 6_500_000_000n },
      ...leafParts,
      tasks: { processes: 1, threads: 9, fileDescriptors: expect.any(Number), sockets: expect.any(Number) },
    });
  });

  it('tells a pod’s own group', async () => {
    const made = await tree(v2Mounts);
    fillV2(made, pod);
    expect(await made.cgroups.podUsage(`/${pod}`)).toEqual({
      cpu: { usageNs: 98_765_432_000n, userNs: 90_000_000_000n, systemNs: 8_765_432_000n, pressure: psi },
      memory: { ...memory, pressure: psi },
      ioPressure: psi,
    });
  });

  it('finds scopes and slices', async () => {
    const made = await tree(v2Mounts, 'systemd');
    fillV2(made, `kubepods.slice/kubepods-pod1.slice/vmlet-${id}.scope`);
    fillV2(made, 'kubepods.slice/kubepods-pod1.slice');
    expect((await made.cgroups.usage('kubepods-pod1.slice', id))?.oomKills).toBe(2);
    expect((await made.cgroups.podUsage('/kubepods.slice/kubepods-pod1.slice'))?.cpu?.usageNs).toBe(98_765_432_000n);
  });

  it('does without what older kernels do not have: peak, sum of kernel memory, pressure, swap, limit', async () => {
    const made = await tree(v2Mounts);
    fillV2(made);
    const leaf = `cgroup/${pod}/${id}`;
    for (const file of ['memory.peak', 'memory.pressure', 'cpu.pressure', 'io.pressure', 'memory.swap.current'])
      made.remove(`${leaf}/${file}`);
    made.write(`${leaf}/memory.stat`, memoryStatV2.replace(/^kernel .*\n/m, ''));
    made.write(`${leaf}/memory.max`, 'max\n');
    const usage = await made.cgroups.usage(`/${pod}`, id);
    const { limitBytes: _limit, swapBytes: _swap, ...rest } = memory;
    expect(usage?.memory).toEqual(rest);
    expect(usage?.cpu).not.toHaveProperty('pressure');
    expect(usage).not.toHaveProperty('ioPressure');
    expect(usage).not.toHaveProperty('maxMemoryBytes');
    expect(usage?.kernelMemoryBytes).toBe(163_840);
  });

  it('has an empty full line for CPU where the kernel writes none', async () => {
    const made = await tree(v2Mounts);
    fillV2(made);
    made.write(`cgroup/${pod}/${id}/cpu.pressure`, pressure.split('\n')[0] ?? '');
    expect((await made.cgroups.usage(`/${pod}`, id))?.cpu?.pressure).toEqual({
      some: psi.some,
      full: { avg10: 0, avg60: 0, avg300: 0, totalNs: 0n },
    });
  });
});

describe.each([
  ['v1', v1Mounts, fillV1],
  ['v2', v2Mounts, fillV2],
] as const)('either, here %s', (_version, mounts, fill) => {
  it('has nothing of a group that is gone', async () => {
    const made = await tree(mounts);
    expect(await made.cgroups.usage(`/${pod}`, id)).toBeUndefined();
    expect(await made.cgroups.podUsage(`/${pod}`)).toBeUndefined();
  });

  it('has nothing of a pod without a group of its own, which shares ours', async () => {
    const made = await tree(mounts);
    fill(made);
    made.write('memory/vmlet/memory.usage_in_bytes', '1\n');
    made.write('cgroup/vmlet/memory.current', '1\n');
    expect(await made.cgroups.podUsage('')).toBeUndefined();
    expect(await made.cgroups.podUsage('/')).toBeUndefined();
  });

  it('never tells a working set below 0: usage and statistics are not read at one moment', async () => {
    const made = await tree(mounts);
    fill(made);
    made.write(`memory/${pod}/${id}/memory.usage_in_bytes`, '4096\n');
    made.write(`cgroup/${pod}/${id}/memory.current`, '4096\n');
    expect((await made.cgroups.usage(`/${pod}`, id))?.memory).toMatchObject({ usageBytes: 4_096, workingSetBytes: 0 });
  });
});
