import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PodsService } from '../../../src/pods/pods.ts';
import { waitFor } from '../../lib/wait.ts';
import { fileUsage, leafUsage } from './samples.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);

async function created(world: World, name = 'pod'): Promise<{ pods: PodsService; sandbox: string; container: string }> {
  const pods = await world.boot();
  const sandbox = await pods.runSandbox({ ...podConfig, metadata: { ...podConfig.metadata, name } }, signal);
  return { pods, sandbox, container: await pods.createContainer(sandbox, vmConfig, signal) };
}

describe('statistics', () => {
  it('are there as soon as a VM runs, and single ones equal those of the list', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await created(world);
    expect(await pods.statistics.containers()).toEqual([]);
    await expect(pods.statistics.container(container)).rejects.toMatchObject({ facts: { code: 'WRONG_STATE', state: 'CREATED' } });
    const began = BigInt(Date.now()) * 1_000_000n;
    await pods.startContainer(container, signal);
    const one = await pods.statistics.container(container.slice(0, 12));
    expect(one).toMatchObject({ container: { id: container, state: 'RUNNING' }, sample: { usage: leafUsage } });
    expect(one.sample?.atNs).toBeGreaterThanOrEqual(began);
    expect(one.sample?.files).toMatchObject({ usedBytes: fileUsage.usedBytes });
    expect(await pods.statistics.containers()).toEqual([one]);
    expect(await pods.statistics.sandbox(sandbox)).toMatchObject({ sandbox: { id: sandbox }, containers: [one] });
    expect(await pods.statistics.sandboxes()).toEqual([await pods.statistics.sandbox(sandbox)]);
    expect(world.calls).toContain(`usage ${podConfig.cgroupParent}`);
  });

  it('name a directory that stays when the VM and its files go', async () => {
    const world = makeWorld();
    const { pods, container } = await created(world);
    await pods.startContainer(container, signal);
    const { sample } = await pods.statistics.container(container);
    expect(sample?.files?.filesystem.directory).toBe(dirname(join(world.dir, 'state/vms', container.slice(0, 12))));
  });

  it('end with the VM', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await created(world);
    await pods.startContainer(container, signal);
    await pods.stopContainer(container, 0, signal);
    expect(await pods.statistics.containers()).toEqual([]);
    expect(await pods.statistics.sandbox(sandbox)).toMatchObject({ containers: [] });
    await expect(pods.statistics.container(container)).rejects.toMatchObject({ facts: { code: 'WRONG_STATE', state: 'EXITED' } });
    await pods.stopSandbox(sandbox, signal);
    expect(await pods.statistics.sandboxes()).toEqual([]);
    await expect(pods.statistics.sandbox(sandbox)).rejects.toMatchObject({ facts: { code: 'WRONG_STATE', state: 'NOTREADY' } });
  });

  it('are not known of what there is not', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    await expect(pods.statistics.container('f'.repeat(64))).rejects.toMatchObject({ facts: { code: 'NOT_FOUND' } });
    await expect(pods.statistics.sandbox('f'.repeat(64))).rejects.toMatchObject({ facts: { code: 'NOT_FOUND' } });
  });

  it('do not keep a boot waiting: who asks at once waits for the turn of an adopted VM', async () => {
    const world = makeWorld();
    const { pods } = await created(world, 'pod-0');
    const podNamed = async (name: string): Promise<string> =>
      pods.runSandbox({ ...podConfig, metadata: { ...podConfig.metadata, name } }, signal);
    for (const name of ['pod-1', 'pod-2', 'pod-3']) await pods.createContainer(await podNamed(name), vmConfig, signal);
    for (const { id } of pods.containers()) await pods.startContainer(id, signal);
    await podNamed('pod-4'); // more than are sampled at once: its turn has not come when the boot is over
    await pods.close(AbortSignal.abort());
    const slow = Promise.withResolvers<void>();
    world.holding.set('usage', slow.promise);
    const again = await world.boot();
    const asked = Promise.all([again.statistics.containers(), again.statistics.sandboxes()]);
    slow.resolve();
    const [containers, sandboxes] = await asked;
    expect(containers.map(({ sample }) => sample?.usage)).toEqual(Array.from({ length: 4 }, () => leafUsage));
    expect(sandboxes.map(({ sample }) => sample !== undefined)).toEqual(Array.from({ length: 5 }, () => true));
  });

  it('do not keep a start waiting: who asks at once waits for the first sample', async () => {
    const world = makeWorld();
    const { pods, container } = await created(world);
    const slow = Promise.withResolvers<void>();
    world.holding.set('usage', slow.promise);
    await pods.startContainer(container, signal);
    const asked = pods.statistics.containers();
    await waitFor(() => world.calls.includes(`usage ${podConfig.cgroupParent}`), { timeoutMs: 5_000, what: 'a sample' });
    slow.resolve();
    expect((await asked)[0]?.sample?.usage).toEqual(leafUsage);
  });

  it('of a VM whose numbers cannot be had are without numbers, and the VM is listed all the same', async () => {
    const world = makeWorld();
    const { pods, container } = await created(world);
    world.failing.set('usage', new Error('EIO'));
    await pods.startContainer(container, signal);
    const listed = await pods.statistics.containers();
    expect(listed.map((one) => one.container.id)).toEqual([container]);
    expect(listed[0]).not.toHaveProperty('sample');
  });
});
