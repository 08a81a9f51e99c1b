import { describe, expect, it } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);

async function stopping(world: World, graceMs: number) {
  const pods = await world.boot();
  const sandbox = await pods.runSandbox(podConfig, signal);
  const container = await pods.createContainer(sandbox, vmConfig, signal);
  await pods.startContainer(container, signal);
  const stopped = pods.stopContainer(container, graceMs, signal);
  await waitFor(() => world.calls.includes('requestShutdown'), { timeoutMs: 5_000, what: 'request to shut down' });
  return { pods, container, stopped };
}

describe('a guest agent that does not answer', () => {
  const hanging = new Promise<void>(() => undefined);

  it('keeps no later kill waiting', async () => {
    const world = makeWorld();
    world.holding.set('requestShutdown', hanging);
    const { pods, container, stopped } = await stopping(world, 600_000);
    await Promise.all([stopped, pods.stopContainer(container, 0, AbortSignal.timeout(5_000))]);
    expect(pods.container(container)).toMatchObject({ state: 'EXITED', exit: { exitCode: 137 } });
  });

  it('is asked again when a later stop has less patience, within that', async () => {
    const world = makeWorld();
    world.holding.set('requestShutdown', hanging);
    const { pods, container, stopped } = await stopping(world, 600_000);
    world.holding.delete('requestShutdown');
    await Promise.all([stopped, pods.stopContainer(container, 30_000, AbortSignal.timeout(5_000))]);
    expect(world.calls.filter((call) => call === 'requestShutdown')).toHaveLength(2);
    expect(pods.container(container)).toMatchObject({ state: 'EXITED', exit: { exitCode: 0 } });
  });

  it('does not lengthen the grace period', async () => {
    const world = makeWorld();
    world.holding.set('requestShutdown', hanging);
    const { pods, container, stopped } = await stopping(world, 100);
    await stopped;
    expect(pods.container(container)).toMatchObject({ state: 'EXITED', exit: { exitCode: 137 } });
  });
});
