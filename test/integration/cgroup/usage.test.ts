import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCgroups } from '../../../src/cgroup/cgroup.ts';
import { randomId } from '../../../src/lib/ids.ts';
import type { LeafUsage } from '../../../src/model/statistics.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { parentGroup, v2Line, waiting } from './groups.ts';

const mebibyte = 2 ** 20;

type Whole = LeafUsage & Required<Pick<LeafUsage, 'cpu' | 'memory' | 'throttling'>>;

/** A use in which nothing is missing. */
function whole(usage: LeafUsage | undefined): Whole {
  if (!usage?.cpu || !usage.memory || !usage.throttling) throw new Error(`missing in ${Object.keys(usage ?? {}).join(', ')}`);
  const { cpu, memory, throttling } = usage;
  return { ...usage, cpu, memory, throttling };
}

describe('what the host’s control groups tell', () => {
  it('of a busy process: CPU rises, memory is what it has, the quota holds it, and the pod’s group counts it too', async () => {
    const cgroups = await makeCgroups({ driver: 'cgroupfs' });
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, { memoryLimitBytes: 256 * mebibyte, cpuQuotaUs: 20_000, cpuPeriodUs: 100_000 });
    // 32 MiB of anonymous memory, then a busy loop.
    const { child, pid, go } = await waiting(`data=$(head -c ${32 * mebibyte} /dev/zero | tr '\\0' x); while :; do :; done`);
    await cgroups.addMembers(parent, id, { pids: [pid], vcpuTids: [pid] });
    const before = whole(await cgroups.usage(parent, id));
    go();
    const usage = await waitFor(
      async () => {
        const now = whole(await cgroups.usage(parent, id));
        // The programs that made the data may be on their way out.
        const isAlone = now.tasks.processes === 1;
        return isAlone && now.memory.rssBytes > 32 * mebibyte && now.throttling.throttledPeriods > 2 && now;
      },
      { timeoutMs: 60_000, what: 'a busy process with 32 MiB in its group' },
    );
    expect(usage.cpu.usageNs).toBeGreaterThan(before.cpu.usageNs + 10_000_000n);
    expect(usage.cpu.userNs + usage.cpu.systemNs).toBeGreaterThan(0n);
    expect(usage.throttling.throttledNs).toBeGreaterThan(0n);
    expect(usage.memory.limitBytes).toBe(256 * mebibyte);
    expect(usage.memory.usageBytes).toBeGreaterThanOrEqual(32 * mebibyte);
    expect(usage.memory.workingSetBytes).toBeLessThanOrEqual(usage.memory.usageBytes);
    expect(usage.memory.pageFaults).toBeGreaterThan(before.memory.pageFaults);
    expect(usage).toMatchObject({ oomKills: 0, tasks: { processes: 1 } });
    expect(usage.tasks.fileDescriptors).toBeGreaterThanOrEqual(3);

    const pod = await cgroups.podUsage(parent);
    expect(pod?.cpu?.usageNs).toBeGreaterThanOrEqual(usage.cpu.usageNs);
    expect(pod?.memory?.usageBytes).toBeGreaterThanOrEqual(32 * mebibyte);
    expect(pod?.memory).not.toHaveProperty('limitBytes');

    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await cgroups.removeLeaf(parent, id);
    expect(await cgroups.usage(parent, id)).toBeUndefined();
  });

  it('of a v2 hierarchy, also beside v1 ones: CPU and pressure without any controller', async () => {
    expect(v2Line, 'a mounted cgroup2').toBeDefined();
    const mountsFile = join(tempDir(), 'mounts');
    writeFileSync(mountsFile, `${v2Line ?? ''}\n`);
    const cgroups = await makeCgroups({ driver: 'cgroupfs', mountsFile });
    const [parent, id] = [parentGroup(), randomId()];
    await cgroups.makeLeaf(parent, id, {});
    const { child, pid, go } = await waiting('while :; do :; done');
    await cgroups.addMembers(parent, id, { pids: [pid], vcpuTids: [pid] });
    go();
    const usage = await waitFor(
      async () => {
        const now = await cgroups.usage(parent, id);
        return (now?.cpu?.usageNs ?? 0n) > 50_000_000n && now;
      },
      { timeoutMs: 60_000, what: 'CPU time in the v2 leaf' },
    );
    expect(usage.cpu?.pressure).toMatchObject({ some: { avg10: expect.any(Number), totalNs: expect.any(BigInt) } });
    expect(usage.ioPressure).toBeDefined();
    expect(usage.tasks.processes).toBe(1);
    expect((await cgroups.podUsage(parent))?.cpu?.usageNs).toBeGreaterThanOrEqual(50_000_000n);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await cgroups.removeLeaf(parent, id);
  });
});
