import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeCgroups, type Cgroups } from '../../../src/cgroup/cgroup.ts';
import { randomId } from '../../../src/lib/ids.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { groupsBelow, layout, parentGroup, v2Line, waiting } from './groups.ts';

const limits = { cpuQuotaUs: 20_000, cpuPeriodUs: 100_000, cpuShares: 256, memoryLimitBytes: 32 * 2 ** 20 };

/** `hierarchy:path` lines of a process that end in a path. */
function placesOf(pid: number, path: string): readonly string[] {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  return lines.filter((line) => line.endsWith(path));
}

async function onV2(): Promise<Cgroups> {
  const mountsFile = join(tempDir(), 'mounts');
  writeFileSync(mountsFile, `${v2Line ?? ''}\n`);
  return makeCgroups({ driver: 'cgroupfs', mountsFile });
}

describe('the host’s control groups', () => {
  it('take a process in every hierarchy; its thread has the quota; the leaf goes with it', async () => {
    const cgroups = await makeCgroups({ driver: 'cgroupfs' });
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, limits);
    await cgroups.makeLeaf(parent, id, limits);
    const { child, pid } = await waiting('exit 0');
    await cgroups.addMembers(parent, id, { pids: [pid], vcpuTids: [pid] });
    const path = `${parent}/${id}`;
    expect(placesOf(pid, path).length + placesOf(pid, `${path}/vcpu`).length).toBe(layout.hierarchies.length);
    expect(placesOf(pid, `${path}/vcpu`)).toHaveLength(1);
    await cgroups.applyLimits(parent, id, { cpuQuotaUs: 50_000, cpuPeriodUs: 50_000 });
    await cgroups.applyLimits(parent, id, { cpuQuotaUs: -1, cpuPeriodUs: 100_000 });

    await expect(cgroups.removeLeaf(parent, id)).rejects.toMatchObject({ code: 'EBUSY' });
    const removed = cgroups.removeLeaf(parent, id); // waits for the end
    child.kill('SIGKILL');
    await removed;
    await cgroups.removeLeaf(parent, id);
    for (const { dir, controllers } of layout.hierarchies) {
      const parentIsOurs = layout.version === 1 && controllers.length === 0;
      expect(groupsBelow(join(dir, parent))).toHaveLength(parentIsOurs ? 0 : 1);
    }
    expect(await cgroups.oomKills(parent, id)).toBe(0);
  });

  it('say ESRCH for a process that is gone', async () => {
    const cgroups = await makeCgroups({ driver: 'cgroupfs' });
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, {});
    const { child, pid } = await waiting('exit 0');
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await expect(cgroups.addMembers(parent, id, { pids: [pid], vcpuTids: [] })).rejects.toMatchObject({ code: 'ESRCH' });
  });

  it('count an OOM kill, and no other', async () => {
    const cgroups = await makeCgroups({ driver: 'cgroupfs' });
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, { memoryLimitBytes: 16 * 2 ** 20 });
    const hog = await waiting('exec tail /dev/zero');
    await cgroups.addMembers(parent, id, { pids: [hog.pid], vcpuTids: [] });
    const other = await waiting('exit 0');
    await cgroups.addMembers(parent, id, { pids: [other.pid], vcpuTids: [] });
    const ended = once(hog.child, 'exit');
    const otherEnded = once(other.child, 'exit');
    other.child.kill('SIGKILL');
    await otherEnded;
    expect(await cgroups.oomKills(parent, id)).toBe(0);
    hog.go();
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(await cgroups.oomKills(parent, id)).toBe(1);
    await cgroups.removeLeaf(parent, id);
  });

  it('make and remove the default parent under load', async () => {
    const cgroups = await makeCgroups({ driver: 'cgroupfs' });
    const ids = Array.from({ length: 8 }, randomId);
    onTestFinished(async () => void (await Promise.all(ids.map(async (id) => cgroups.removeLeaf('', id)))));
    await Promise.all(
      ids.map(async (id) => {
        for (let round = 0; round < 5; round += 1) {
          await cgroups.makeLeaf('', id, {});
          await cgroups.removeLeaf('', id);
        }
      }),
    );
    for (const { dir } of layout.hierarchies)
      expect(groupsBelow(join(dir, 'vmlet')).filter((group) => ids.some((id) => group.includes(id)))).toEqual([]);
  });
});

describe('a v2 hierarchy', () => {
  it('takes a process in the leaf and a thread in its threaded child', async () => {
    expect(v2Line, 'a mounted cgroup2').toBeDefined();
    const cgroups = await onV2();
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, limits);
    await cgroups.makeLeaf(parent, id, limits);
    const { child, pid } = await waiting('exit 0');
    await cgroups.addMembers(parent, id, { pids: [pid], vcpuTids: [] });
    expect(placesOf(pid, `${parent}/${id}`)).toHaveLength(1);
    await cgroups.addMembers(parent, id, { pids: [], vcpuTids: [pid] });
    expect(placesOf(pid, `${parent}/${id}/vcpu`)).toHaveLength(1);
    expect(readFileSync(join(v2Line?.split(' ')[1] ?? '', parent, id, 'cgroup.type'), 'utf8').trim()).toBe('domain threaded');
    child.kill('SIGKILL');
    await cgroups.removeLeaf(parent, id);
    await waitFor(() => !existsSync(join(v2Line?.split(' ')[1] ?? '', parent, id)), { timeoutMs: 20_000, what: 'removed leaf' });
  });
});
