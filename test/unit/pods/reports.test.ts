import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ContainerConfig } from '../../../src/model/container.ts';
import type { PodsService } from '../../../src/pods/pods.ts';
import { waitFor } from '../../lib/wait.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);
const withLog: ContainerConfig = {
  ...vmConfig,
  annotations: { 'io.kubernetes.container.terminationMessagePath': '/dev/termination-log' },
  mounts: [
    {
      containerPath: '/dev/termination-log',
      hostPath: '/pods/u/containers/vm/0',
      readonly: false,
      selinuxRelabel: false,
      propagation: 0,
      recursiveReadOnly: false,
    },
  ],
};

async function running(world: World, config = withLog): Promise<{ pods: PodsService; id: string; socket: string }> {
  const pods = await world.boot();
  const sandbox = await pods.runSandbox(podConfig, signal);
  const id = await pods.createContainer(sandbox, config, signal);
  await pods.startContainer(id, signal);
  return { pods, id, socket: join(world.dir, 'run', 'vms', id.slice(0, 12), 'report.sock') };
}

async function ended(world: World, pods: PodsService, id: string): Promise<ReturnType<PodsService['container']>> {
  world.end(pods.container(id).vm.domainName, 'shutdown');
  return waitFor(() => pods.container(id).state === 'EXITED' && pods.container(id), { timeoutMs: 5_000, what: 'EXITED' });
}

describe('what a guest reports of its end', () => {
  it('is its exit code, and its message goes into the kubelet’s file', async () => {
    const world = makeWorld();
    const { pods, id, socket } = await running(world);
    world.report.get(socket)?.({ exitCode: 1, message: 'first' });
    world.report.get(socket)?.({ exitCode: 3, message: 'no database' });
    expect((await ended(world, pods, id)).exit).toMatchObject({ exitCode: 3, reason: 'Error', message: '' });
    expect(world.calls).toContain('termination message /pods/u/containers/vm/0 no database');
    expect(world.report.has(socket)).toBe(false);
  });

  it('survives a restart of the daemon', async () => {
    const world = makeWorld();
    const { pods, id, socket } = await running(world);
    world.report.get(socket)?.({ exitCode: 4, message: '' });
    await waitFor(() => pods.container(id).report, { timeoutMs: 5_000, what: 'the report to be kept' });
    await pods.close(AbortSignal.abort());
    expect(world.report.has(socket)).toBe(false);
    const again = await world.boot();
    expect(world.report.has(socket)).toBe(true);
    expect((await ended(world, again, id)).exit?.exitCode).toBe(4);
  });

  it('does not count when the VM was destroyed, and nothing is written without a message or a file', async () => {
    const world = makeWorld();
    const { pods, id, socket } = await running(world);
    world.report.get(socket)?.({ exitCode: 0, message: 'too early' });
    await pods.stopContainer(id, 0, signal);
    expect(pods.container(id).exit).toMatchObject({ exitCode: 137 });

    const other = makeWorld();
    const bare = await running(other, vmConfig);
    other.report.get(bare.socket)?.({ exitCode: 2, message: 'nowhere to go' });
    expect((await ended(other, bare.pods, bare.id)).exit?.exitCode).toBe(2);
    expect([...world.calls, ...other.calls].filter((call) => call.startsWith('termination'))).toEqual([]);
  });

  it('that cannot be written is no obstacle', async () => {
    const world = makeWorld();
    const { pods, id, socket } = await running(world);
    world.failing.set('termination message', new Error('it is a link'));
    world.report.get(socket)?.({ exitCode: 5, message: 'x' });
    expect((await ended(world, pods, id)).exit?.exitCode).toBe(5);
  });
});
