import { describe, expect, it } from 'vitest';
import { leafPlace, parentOfLeaf } from '../../../src/cgroup/leaf-path.ts';

const id = 'c0ffee'.repeat(10) + 'abcd';

describe('the parent of the leaf that a process lives in', () => {
  it.each([
    [
      'cgroupfs',
      `12:cpu,cpuacct:/kubepods/burstable/pod1/${id}/vcpu\n3:memory:/kubepods/burstable/pod1/${id}\n`,
      '/kubepods/burstable/pod1',
    ],
    ['cgroupfs', `0::/vmlet/${id}\n`, ''],
    ['systemd', `0::/kubepods.slice/kubepods-pod1.slice/vmlet-${id}.scope/vcpu\n`, '/kubepods.slice/kubepods-pod1.slice'],
    ['systemd', `0::/vmlet.slice/vmlet-${id}.scope\n`, ''],
  ] as const)('with %s, %j: the place is found again', (driver, groups, parent) => {
    expect(parentOfLeaf(driver, groups, id)).toBe(parent);
    const place = leafPlace(driver, parent, id);
    expect(groups).toContain(`/${[...place.parent, place.leaf].join('/')}`);
  });

  it.each([
    ['systemd', `0::/kubepods.slice/${id}\n`],
    ['cgroupfs', '0::/user.slice\n'],
    ['cgroupfs', ''],
  ] as const)('with %s, %j: it lives in none', (driver, groups) => {
    expect(parentOfLeaf(driver, groups, id)).toBeUndefined();
  });
});
