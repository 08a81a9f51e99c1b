import { describe, expect, it } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);

/** Holds a step back until the caller has gone. */
async function abandoned(world: World, step: string, call: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const hold = Promise.withResolvers<void>();
  world.holding.set(step, hold.promise);
  const caller = new AbortController();
  const answer = call(caller.signal).then(
    () => 'answered',
    () => 'gone',
  );
  await waitFor(() => world.calls.some((made) => made.startsWith(step)), { timeoutMs: 5_000, what: step });
  caller.abort();
  expect(await answer).toBe('gone');
  world.holding.clear();
  hold.resolve();
}

describe('what was made for a caller that had gone', () => {
  it('is what a retry gets, and stays then', async () => {
    const world = makeWorld();
    const pods = await world.boot({ unclaimedMs: 200 });
    await abandoned(world, 'attach', async (caller) => pods.runSandbox(podConfig, caller));
    const id = await pods.runSandbox(podConfig, signal);
    expect(world.calls.filter((call) => call.startsWith('attach'))).toHaveLength(1);
    await abandoned(world, 'makeRootDisk', async (caller) => pods.createContainer(id, vmConfig, caller));
    await waitFor(() => pods.containers().length === 1, { timeoutMs: 5_000, what: 'the container' });
    const [made] = pods.containers();
    expect(pods.container(made?.id ?? '').id).toBe(made?.id); // asking for it by its id claims it
    await expect(waitFor(() => pods.containers().length === 0, { timeoutMs: 600, what: 'an undo' })).rejects.toThrow(/undo/);
    expect(pods.sandboxes().map((sandbox) => sandbox.id)).toEqual([id]);
  });

  it('is undone when nobody asks for it', async () => {
    const world = makeWorld();
    const pods = await world.boot({ unclaimedMs: 200 });
    const id = await pods.runSandbox(podConfig, signal);
    await abandoned(world, 'makeRootDisk', async (caller) => pods.createContainer(id, vmConfig, caller));
    await waitFor(() => pods.containers().length === 1, { timeoutMs: 5_000, what: 'the container' });
    await waitFor(() => pods.containers().length === 0, { timeoutMs: 10_000, what: 'its end' });
    await pods.removeSandbox(id, signal);
    world.calls.length = 0;
    await abandoned(world, 'attach', async (caller) => pods.runSandbox(podConfig, caller));
    await waitFor(() => world.calls.some((call) => call.startsWith('detach')), { timeoutMs: 10_000, what: 'the sandbox’s end' });
    await waitFor(() => pods.sandboxes().length === 0, { timeoutMs: 10_000, what: 'its record’s end' });
    expect([world.vms.size, world.attachments.size]).toEqual([0, 0]);
  });
});
