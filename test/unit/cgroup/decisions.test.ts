import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutFromMounts } from '../../../src/cgroup/hierarchies.ts';
import { leafPlace } from '../../../src/cgroup/leaf-path.ts';
import { limitWritesV1, limitWritesV2 } from '../../../src/cgroup/limit-files.ts';
import { hasCode } from '../../../src/model/errors.ts';

const id = 'c0ffee'.repeat(10) + 'abcd';

describe('layout', () => {
  it('is v1 with the unified hierarchy beside it', () => {
    const mounts = [
      'proc /proc proc rw 0 0',
      'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0',
      'cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0',
      'cgroup /run/other\\040place cgroup rw,memory 0 0',
      'cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0',
      'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
      '',
    ].join('\n');
    expect(layoutFromMounts(mounts)).toEqual({
      version: 1,
      hierarchies: [
        { dir: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
        { dir: '/sys/fs/cgroup/memory', controllers: ['memory'] },
        { dir: '/sys/fs/cgroup/systemd', controllers: ['name=systemd'] },
        { dir: '/sys/fs/cgroup/unified', controllers: [] },
      ],
    });
  });

  it('is v2 where nothing of v1 limits anything', () => {
    const v2 = 'cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n';
    expect(layoutFromMounts(v2)).toEqual({ version: 2, hierarchies: [{ dir: '/sys/fs/cgroup', controllers: [] }] });
    expect(layoutFromMounts(`cgroup /a cgroup rw,name=systemd 0 0\n${v2}`)?.version).toBe(2);
    expect(layoutFromMounts('cgroup2 /a\\040b cgroup2 rw 0 0')?.hierarchies[0]?.dir).toBe('/a b');
  });

  it('is nothing where nothing is mounted', () => {
    expect(layoutFromMounts('proc /proc proc rw 0 0\n')).toBeUndefined();
    expect(layoutFromMounts('')).toBeUndefined();
  });
});

describe('a leaf’s place', () => {
  it.each([
    ['cgroupfs', '/kubepods/burstable/pod1', ['kubepods', 'burstable', 'pod1'], id, false],
    ['cgroupfs', 'kubepods//pod1/', ['kubepods', 'pod1'], id, false],
    ['cgroupfs', '', ['vmlet'], id, true],
    ['cgroupfs', '/', ['vmlet'], id, true],
    ['systemd', '/kubepods.slice/kubepods-pod1.slice', ['kubepods.slice', 'kubepods-pod1.slice'], `vmlet-${id}.scope`, false],
    ['systemd', 'a-b-c.slice', ['a.slice', 'a-b.slice', 'a-b-c.slice'], `vmlet-${id}.scope`, false],
    ['systemd', '-.slice', [], `vmlet-${id}.scope`, false],
    ['systemd', '', ['vmlet.slice'], `vmlet-${id}.scope`, true],
  ] as const)('%s %s', (...[driver, parent, names, leaf, isDefaultParent]) => {
    expect(leafPlace(driver, parent, id)).toEqual({ parent: names, leaf, isDefaultParent });
  });

  it.each([
    ['cgroupfs', '/kubepods/../../etc'],
    ['cgroupfs', '..'],
    ['systemd', '/kubepods/pod1'],
    ['systemd', 'a--b.slice'],
    ['systemd', '.slice'],
  ] as const)('%s refuses the parent %s', (driver, parent) => {
    expect(() => leafPlace(driver, parent, id)).toThrow('linux.cgroup_parent');
  });

  it('refuses ids that are no file names', () => {
    for (const bad of ['', '.', '..', 'a/b', 'a b']) expect(() => leafPlace('cgroupfs', '', bad)).toThrow('container id');
  });

  it('never leaves the root, whatever the parent', () => {
    fc.assert(
      fc.property(fc.constantFrom('cgroupfs', 'systemd'), fc.string(), (driver, parent) => {
        expect(namesOrRefusal(driver, parent).every((name) => /^[^/]+$/.test(name) && name !== '..' && name !== '.')).toBe(true);
      }),
    );
  });
});

/** Names of the parent's groups; none when it was refused. */
function namesOrRefusal(driver: 'cgroupfs' | 'systemd', parent: string): readonly string[] {
  try {
    return leafPlace(driver, parent, id).parent;
  } catch (error) {
    if (hasCode(error, 'INVALID')) return [];
    throw error;
  }
}

describe('limits', () => {
  const texts = (writes: readonly { group: string; file: string; text: string }[]): string[] =>
    writes.map(({ group, file, text }) => `${group}/${file} ${text}`);

  it('are files of v1, the quota lifted before it changes', () => {
    const all = { cpuShares: 512, cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, memoryLimitBytes: 2 ** 28, cpusetCpus: '0-1', cpusetMems: '0' };
    expect(texts(limitWritesV1(all))).toEqual([
      'leaf/cpuset.cpus 0-1',
      'leaf/cpuset.mems 0',
      'leaf/memory.limit_in_bytes 268435456',
      'leaf/cpu.shares 512',
      'vcpu/cpu.cfs_quota_us -1',
      'vcpu/cpu.cfs_period_us 100000',
      'vcpu/cpu.cfs_quota_us 50000',
    ]);
    expect(limitWritesV1({})).toEqual([]);
  });

  it('are files of v2', () => {
    expect(texts(limitWritesV2({ cpuShares: 1024, memoryLimitBytes: 1 }, ''))).toEqual(['leaf/memory.max 1', 'leaf/cpu.weight 39']);
    const cpuMax = (limits: object, before = 'max 100000'): string[] => texts(limitWritesV2(limits, before));
    expect(cpuMax({ cpuQuotaUs: 20_000, cpuPeriodUs: 50_000 })).toEqual(['vcpu/cpu.max 20000 50000']);
    expect(cpuMax({ cpuQuotaUs: -1, cpuPeriodUs: 50_000 })).toEqual(['vcpu/cpu.max max 50000']);
    expect(cpuMax({ cpuPeriodUs: 50_000 }, '7000 100000')).toEqual(['vcpu/cpu.max 7000 50000']);
    expect(cpuMax({ cpuQuotaUs: 7000 })).toEqual(['vcpu/cpu.max 7000']);
    expect(limitWritesV2({}, 'max 100000')).toEqual([]);
  });

  it.each([
    [2, 1],
    [0, 1],
    [262_144, 10_000],
    [10 ** 9, 10_000],
  ])('%i shares weigh %i', (cpuShares, weight) => {
    expect(texts(limitWritesV2({ cpuShares }, ''))).toEqual([`leaf/cpu.weight ${weight}`]);
  });
});
