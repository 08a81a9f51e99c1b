import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PodsService } from '../../../src/pods/pods.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);

interface Pod {
  readonly world: World;
  readonly sandbox: string;
  readonly container: string;
  readonly file: (kind: 'sandboxes' | 'containers') => string;
  /** The next daemon. */
  readonly again: () => Promise<PodsService>;
}

async function runningPod(): Promise<Pod> {
  const world = makeWorld();
  const pods = await world.boot();
  const sandbox = await pods.runSandbox(podConfig, signal);
  const container = await pods.createContainer(sandbox, vmConfig, signal);
  await pods.startContainer(container, signal);
  const file: Pod['file'] = (kind) => join(world.dir, 'state/records', kind, `${kind === 'sandboxes' ? sandbox : container}.json`);
  const again = async (): Promise<PodsService> => {
    await pods.close(AbortSignal.abort());
    return world.boot();
  };
  return { world, sandbox, container, file, again };
}

const spoil: Readonly<Record<string, (file: string) => void>> = {
  'is cut off': (file) => truncateSync(file, 100),
  'is garbage': (file) => writeFileSync(file, Buffer.from([0, 255, 7, 8])),
  'is empty': (file) => truncateSync(file, 0),
  'has a newer schema': (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/"schema":\d+/, '"schema":999')),
};

describe.each(Object.entries(spoil))('a record that %s', (_, damage) => {
  it('of a sandbox: NOTREADY with the identity that the network has; it is stopped and removed', async () => {
    const { world, sandbox, container, file, again } = await runningPod();
    damage(file('sandboxes'));
    const before = readFileSync(file('sandboxes'));
    const pods = await again();
    expect(pods.sandboxes()).toMatchObject([
      { id: sandbox, state: 'NOTREADY', ips: ['10.1.0.5'], config: { metadata: podConfig.metadata, cgroupParent: podConfig.cgroupParent } },
    ]);
    expect(pods.containers()).toMatchObject([{ id: container, state: 'RUNNING' }]);
    expect(world.calls).toContain(`recover network ${sandbox}`);
    expect(readFileSync(file('sandboxes'))).toEqual(before);
    await expect(pods.runSandbox(podConfig, signal)).rejects.toThrow(/exists and is NOTREADY/);

    await pods.stopContainer(container, 0, signal);
    await pods.stopSandbox(sandbox, signal);
    expect(world.attachments.size).toBe(0);
    await pods.removeContainer(container, signal);
    await pods.removeSandbox(sandbox, signal);
    expect(existsSync(file('sandboxes'))).toBe(false);
    expect(pods.sandboxes()).toEqual([]);
  });

  it('of a container: UNKNOWN with the identity that its domain has; it is stopped, EXITED and removed', async () => {
    const { world, sandbox, container, file, again } = await runningPod();
    damage(file('containers'));
    const before = readFileSync(file('containers'));
    const pods = await again();
    const labels = { 'io.kubernetes.pod.uid': podConfig.metadata.uid, 'io.kubernetes.container.name': vmConfig.name };
    expect(pods.containers()).toMatchObject([
      { id: container, sandboxId: sandbox, state: 'UNKNOWN', config: { name: vmConfig.name, attempt: vmConfig.attempt, labels } },
    ]);
    expect(readFileSync(file('containers'))).toEqual(before);
    expect([...world.vms.values()].map(({ state }) => state)).toEqual(['running']);
    expect(world.holds).toContain(container);
    await expect(pods.createContainer(sandbox, { ...vmConfig, attempt: 1 }, signal)).rejects.toThrow(/one VM at a time/);

    await pods.stopContainer(container, 30_000, signal);
    expect(pods.container(container)).toMatchObject({ state: 'EXITED', exit: { exitCode: 0, reason: 'Completed' } });
    const next = await pods.createContainer(sandbox, { ...vmConfig, attempt: 1 }, signal);
    expect(pods.container(next).vm.uid).not.toBe(pods.container(container).vm.uid);
    expect(pods.container(next).createdAtNs).toBeGreaterThan(pods.container(container).createdAtNs);
    await pods.removeContainer(container, signal);
    expect(existsSync(file('containers'))).toBe(false);
    expect(world.holds).not.toContain(container);
  });
});

describe('an unreadable record', () => {
  it('that nothing identifies makes lists fail with its file, and keeps everything else from being believed gone', async () => {
    const { world, sandbox, container, file, again } = await runningPod();
    truncateSync(file('sandboxes'), 9);
    truncateSync(file('containers'), 9);
    world.metadata.clear();
    world.vms.clear();
    const pods = await again();
    expect(() => pods.sandboxes()).toThrow(file('sandboxes'));
    expect(() => pods.containers()).toThrow(file('containers'));
    expect(() => pods.sandbox(sandbox)).toThrow(file('sandboxes'));
    expect(() => pods.container(container.slice(0, 12))).toThrow(file('containers'));
    await expect(pods.stopContainer(container, 0, signal)).rejects.toThrow(file('containers'));
    await expect(pods.removeSandbox(sandbox, signal)).rejects.toThrow(file('sandboxes'));
    await expect(pods.runSandbox(podConfig, signal)).rejects.toThrow(file('sandboxes'));
  });

  it('of a sandbox is identified by its VM when the network does not know it', async () => {
    const { world, sandbox, file, again } = await runningPod();
    truncateSync(file('sandboxes'), 9);
    world.metadata.clear();
    expect((await again()).sandboxes()).toMatchObject([{ id: sandbox, config: { metadata: podConfig.metadata } }]);
  });

  it('of a container whose VM has ended meanwhile: the stop does not wait, and tells how it ended', async () => {
    const { world, container, file, again } = await runningPod();
    truncateSync(file('containers'), 9);
    for (const [name, vm] of world.vms) world.vms.set(name, { ...vm, state: 'off', endCause: 'crashed' });
    const pods = await again();
    await pods.stopContainer(container, 3_600_000, signal);
    expect(pods.container(container)).toMatchObject({ state: 'EXITED', exit: { exitCode: 1 } });
    expect(world.calls).not.toContain('requestShutdown');
  });

  it('of a container that is UNKNOWN is EXITED when its VM ends', async () => {
    const { world, container, file, again } = await runningPod();
    truncateSync(file('containers'), 9);
    const pods = await again();
    world.end(pods.container(container).vm.domainName, 'shutdown');
    await expect.poll(() => pods.container(container).state).toBe('EXITED');
  });

  it('of sandbox and container: StopPodSandbox ends the VM, RemovePodSandbox removes all', async () => {
    const { world, sandbox, file, again } = await runningPod();
    truncateSync(file('sandboxes'), 9);
    truncateSync(file('containers'), 9);
    const pods = await again();
    await pods.stopSandbox(sandbox, signal);
    expect(pods.containers()).toMatchObject([{ state: 'EXITED' }]);
    await pods.removeSandbox(sandbox, signal);
    expect([pods.sandboxes(), pods.containers(), [...world.vms]]).toEqual([[], [], []]);
    expect([existsSync(file('sandboxes')), existsSync(file('containers'))]).toEqual([false, false]);
  });
});
