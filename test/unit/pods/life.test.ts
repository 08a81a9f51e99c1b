import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VmletError } from '../../../src/model/errors.ts';
import type { PodsService } from '../../../src/pods/pods.ts';
import { waitFor } from '../../lib/wait.ts';
import { makeWorld, podConfig, vmConfig, type World } from './world.ts';

const signal = AbortSignal.timeout(60_000);

async function running(world: World): Promise<{ pods: PodsService; sandbox: string; container: string }> {
  const pods = await world.boot();
  const sandbox = await pods.runSandbox(podConfig, signal);
  const container = await pods.createContainer(sandbox, vmConfig, signal);
  await pods.startContainer(container, signal);
  return { pods, sandbox, container };
}

/** What must be gone when everything was removed. */
function leftovers(world: World): unknown {
  const files = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);
  return {
    vms: [...world.vms.keys()],
    attachments: [...world.attachments.keys()],
    holds: [...world.holds],
    files: files(join(world.dir, 'state/vms')),
    records: [...files(join(world.dir, 'state/records/sandboxes')), ...files(join(world.dir, 'state/records/containers'))],
  };
}
const nothing = { vms: [], attachments: [], holds: [], files: [], records: [] };

describe('the life of a pod', () => {
  it('does everything in the order that the hypervisor needs', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await running(world);
    await pods.stopContainer(container, 5_000, signal);
    await pods.removeSandbox(sandbox, signal);
    const order = world.calls.map((call) => call.split(' ')[0]);
    const before = (a: string, b: string): void => expect(order.indexOf(a), `${a} before ${b}`).toBeLessThan(order.indexOf(b));
    for (const [a, b] of [
      ['attach', 'define'],
      ['makeRootDisk', 'define'],
      ['makeTap', 'startPaused'],
      ['follow', 'startPaused'],
      ['startPaused', 'addMembers'],
      ['startPaused', 'joinTap'],
      ['addMembers', 'resume'],
      ['joinTap', 'resume'],
      ['requestShutdown', 'finish'],
      ['finish', 'undefine'],
      ['undefine', 'detach'],
    ] as const) {
      before(a, b);
    }
    expect(leftovers(world)).toEqual(nothing);
  });

  it('shows states and times on the way', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await running(world);
    expect(pods.sandbox(sandbox)).toMatchObject({ state: 'READY', ips: ['10.1.0.5'] });
    expect(pods.container(container.slice(0, 8))).toMatchObject({ state: 'RUNNING', imageRef: expect.stringContaining('tiny@') });
    await pods.stopContainer(container, 1_000, signal);
    expect(pods.container(container).exit).toMatchObject({ exitCode: 0, reason: 'Completed' });
    expect(pods.container(container).exit?.finishedAtNs).toBeGreaterThanOrEqual(pods.container(container).startedAtNs ?? 0n);
    await pods.stopSandbox(sandbox, signal);
    expect(pods.sandbox(sandbox).state).toBe('NOTREADY');
    expect(pods.sandboxes()).toHaveLength(1);
  });

  it('destroys a guest that does not listen when the grace period is over', async () => {
    const world = makeWorld();
    world.obedient = false;
    const { pods, container } = await running(world);
    await pods.stopContainer(container, 100, signal);
    expect(pods.container(container).exit).toMatchObject({ exitCode: 137, reason: 'Error', message: 'grace period exceeded' });
    expect(world.calls.filter((call) => call === 'requestShutdown').length).toBeGreaterThan(1);
  });

  it('is removed also while its log cannot be written, since that may be what makes room', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await running(world);
    world.failing.set('finish log', new VmletError({ code: 'DISK_FULL', path: '/var/log' }, 'no space left'));
    await pods.stopContainer(container, 1_000, signal);
    await pods.removeContainer(container, signal);
    await pods.removeSandbox(sandbox, signal);
    expect(world.calls).toContain('pause log');
    expect(leftovers(world)).toEqual(nothing);
  });

  it('hurries a stop under way when a later one has less patience', async () => {
    const world = makeWorld();
    world.obedient = false;
    const { pods, container } = await running(world);
    const patient = pods.stopContainer(container, 600_000, signal);
    await waitFor(() => world.calls.includes('requestShutdown'), { timeoutMs: 5_000, what: 'request to shut down' });
    await Promise.all([patient, pods.stopContainer(container, 0, signal)]);
    expect(pods.container(container).state).toBe('EXITED');
  });

  it('records an end that libvirt tells, without any call', async () => {
    const world = makeWorld();
    const { pods, container } = await running(world);
    world.end(pods.container(container).vm.domainName, 'panicked');
    await waitFor(() => pods.container(container).state === 'EXITED', { timeoutMs: 5_000, what: 'exit' });
    expect(pods.container(container).exit).toMatchObject({ exitCode: 134, message: 'guest panicked' });
    expect(world.vms.size).toBe(0);
  });

  it('is idempotent, and unknown ids are fine where CRI wants it', async () => {
    const world = makeWorld();
    const { pods, sandbox, container } = await running(world);
    for (let n = 0; n < 2; n += 1) {
      await pods.stopContainer(container, 1_000, signal);
      await pods.removeContainer(container, signal);
      await pods.stopSandbox(sandbox, signal);
      await pods.removeSandbox(sandbox, signal);
    }
    expect(() => pods.sandbox(sandbox)).toThrow(/does not exist/);
    expect(() => pods.container('')).toThrow(/does not exist/);
    await expect(pods.startContainer(container, signal)).rejects.toMatchObject({ facts: { code: 'NOT_FOUND' } });
    expect(leftovers(world)).toEqual(nothing);
  });

  it('joins a repeated call, also when the first caller is gone', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const gate = Promise.withResolvers<void>();
    world.holding.set('attach', gate.promise);
    const impatient = new AbortController();
    const first = pods.runSandbox(podConfig, impatient.signal);
    const second = pods.runSandbox(podConfig, signal);
    impatient.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    gate.resolve();
    const id = await second;
    expect(await pods.runSandbox(podConfig, signal)).toBe(id);
    expect(world.calls.filter((call) => call === 'attach')).toHaveLength(1);
  });

  it('gives each VM a uid of its own and takes it back with the record', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const uids = [];
    for (let n = 0; n < 6; n += 1) {
      const sandbox = await pods.runSandbox({ ...podConfig, metadata: { ...podConfig.metadata, name: `p${n}` } }, signal);
      const container = await pods.createContainer(sandbox, vmConfig, signal);
      uids.push(pods.container(container).vm.uid);
      if (n % 2 === 0) await pods.removeSandbox(sandbox, signal);
    }
    expect(uids).toEqual([100_000, 100_000, 100_001, 100_001, 100_002, 100_002]);
  });
});

describe('a failure', () => {
  it.each([
    ['attach', new VmletError({ code: 'CNI_FAILED', plugin: 'bridge' }, 'bridge: no')],
    ['admitDisk', new VmletError({ code: 'DISK_FULL', path: '/x' }, 'images.minFree')],
    ['makeRootDisk', new VmletError({ code: 'DISK_FULL', path: '/x' }, 'full')],
    ['makeSeed', new Error('no iso')],
    ['define', new VmletError({ code: 'VM_FAILED', vm: 'x' }, 'bad XML')],
  ])('of %s leaves nothing behind', async (call, error) => {
    const world = makeWorld();
    const pods = await world.boot();
    world.failing.set(call, error);
    const attempt = async (): Promise<string> => pods.createContainer(await pods.runSandbox(podConfig, signal), vmConfig, signal);
    await expect(attempt()).rejects.toThrow(error.message);
    for (const { id } of pods.sandboxes()) await pods.removeSandbox(id, signal);
    expect(leftovers(world)).toEqual(nothing);
  });

  it.each(['makeTap', 'makeLeaf', 'follow log', 'startPaused', 'addMembers', 'joinTap', 'resume'])(
    'of %s makes the container EXITED with 128 StartError and the VM is gone',
    async (call) => {
      const world = makeWorld();
      const pods = await world.boot();
      const sandbox = await pods.runSandbox(podConfig, signal);
      const container = await pods.createContainer(sandbox, vmConfig, signal);
      world.failing.set(call, new Error(`${call} failed`));
      await expect(pods.startContainer(container, signal)).rejects.toThrow(`${call} failed`);
      expect(pods.container(container)).toMatchObject({
        state: 'EXITED',
        exit: { exitCode: 128, reason: 'StartError', message: `${call} failed` },
      });
      world.failing.clear();
      expect(world.vms.size).toBe(0);
      const again = await pods.createContainer(sandbox, { ...vmConfig, attempt: 1 }, signal);
      await pods.startContainer(again, signal);
      expect(pods.container(again).state).toBe('RUNNING');
    },
  );

  it('to undo keeps a NOTREADY record that can be removed later', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    world.failing.set('attach', new Error('no network'));
    world.failing.set('detach', new Error('no undoing either'));
    await expect(pods.runSandbox(podConfig, signal)).rejects.toThrow('no network');
    world.failing.clear();
    const [left] = pods.sandboxes();
    expect(left?.state).toBe('NOTREADY');
    await pods.removeSandbox(left?.id ?? '', signal);
    expect(leftovers(world)).toEqual(nothing);
  });

  it('of libvirt refuses work and changes nothing', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    const container = await pods.createContainer(sandbox, vmConfig, signal);
    world.failing.set('libvirt', new Error());
    await expect(pods.startContainer(container, signal)).rejects.toMatchObject({ facts: { code: 'LIBVIRT_UNAVAILABLE' } });
    expect(pods.container(container).state).toBe('CREATED');
  });
});

describe('a restart', () => {
  it('adopts a running VM with its times and takes up its log', async () => {
    const world = makeWorld();
    const { pods, container } = await running(world);
    const before = pods.container(container);
    world.calls.length = 0;
    const again = await world.boot();
    expect(again.container(container)).toEqual(before);
    expect(world.calls).toContain('follow log');
    expect(world.calls).not.toContain('startPaused');
    expect(world.vms.get(before.vm.domainName)?.state).toBe('running');
  });

  it('records an end that nobody saw, and what libvirt still knows of it', async () => {
    const world = makeWorld();
    const { pods, container } = await running(world);
    await pods.close(AbortSignal.abort());
    world.end(pods.container(container).vm.domainName, 'shutdown');
    const again = await world.boot();
    expect(again.container(container).exit).toMatchObject({ exitCode: 0, reason: 'Completed' });
    expect(world.vms.size).toBe(0);
  });

  it('of libvirt in the middle of a start leaves nothing in the way of the next attempt', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    const first = await pods.createContainer(sandbox, vmConfig, signal);
    for (const call of ['resume', 'destroy', 'undefine']) world.failing.set(call, new Error('libvirt is away'));
    await expect(pods.startContainer(first, signal)).rejects.toThrow('libvirt is away');
    world.failing.clear();
    expect(world.vms.size).toBe(1);
    const second = await pods.createContainer(sandbox, { ...vmConfig, attempt: 1 }, signal);
    expect([...world.vms.keys()]).toEqual([pods.container(second).vm.domainName]);
  });

  it.each([
    ['and its network', undefined],
    ['also where its network cannot be adopted', new Error('no nft')],
  ])('while libvirt is away completes a start that was cut short when libvirt is back, %s', async (_how, failure) => {
    const world = makeWorld();
    if (failure) world.failing.set('adopt network', failure);
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    const id = await pods.createContainer(sandbox, vmConfig, signal);
    const { domainName, tap } = pods.container(id).vm;
    await pods.close(AbortSignal.abort());
    Object.assign(world.vms.get(domainName) ?? {}, { state: 'running' });
    world.failing.set('list', new Error('libvirt is away'));
    const again = await world.boot();
    expect(again.container(id).state).toBe('CREATED');
    world.failing.delete('list');
    world.calls.length = 0;
    world.connect();
    await waitFor(() => again.container(id).state === 'RUNNING' && world.calls.includes('addMembers 77'), {
      timeoutMs: 5_000,
      what: 'end of the start',
    });
    expect(world.calls).toEqual(['list', 'follow log', `adopt network ${sandbox} ${tap}`, 'addMembers 77']);
  });

  it('undoes a creation and a sandbox that were cut short', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    world.holding.set('makeRootDisk', Promise.withResolvers<void>().promise);
    void pods.createContainer(sandbox, vmConfig, signal).catch(() => undefined);
    await waitFor(() => world.calls.includes('makeRootDisk'), { timeoutMs: 5_000, what: 'root disk' });
    world.holding.set('attach', Promise.withResolvers<void>().promise);
    void pods.runSandbox({ ...podConfig, metadata: { ...podConfig.metadata, attempt: 1 } }, signal).catch(() => undefined);
    await waitFor(() => world.calls.filter((call) => call === 'attach').length === 2, { timeoutMs: 5_000, what: 'second attach' });
    world.holding.clear();
    const again = await world.boot();
    expect(again.containers()).toEqual([]);
    expect(again.sandboxes().map(({ id }) => id)).toEqual([sandbox]);
    await again.removeSandbox(sandbox, signal);
    expect(leftovers(world)).toEqual(nothing);
  });

  it('makes a sandbox NOTREADY whose network is gone', async () => {
    const world = makeWorld();
    const { sandbox, container } = await running(world);
    world.attachments.clear();
    world.vms.clear();
    const again = await world.boot();
    expect(again.sandbox(sandbox).state).toBe('NOTREADY');
    expect(again.container(container).exit).toMatchObject({ exitCode: 255, reason: 'Unknown' });
  });
});
