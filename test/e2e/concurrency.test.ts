import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import {
  containerConfig,
  containerStatus,
  removeAllPods,
  runPod,
  sandboxConfig,
  startSandbox,
  stateNumbers,
  type Pod,
  type RunningPod,
} from '../kubelet/kubelet.ts';
import { makeContainerFiles } from '../kubelet/node-files.ts';
import type { CriCallOptions } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { scrape } from '../node/metrics.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { addGatedPlugin, libvirtdGate, type Gate, type GatedPlugin } from './gates.ts';
import { bootImage, bootImages, requireClean, vmPod } from './guests.ts';

const image = bootImage('halt');
/** Longest time of a call that waits for nothing, on a machine with other work; what others wait for comes later, or never. */
const promptMs = 15_000;
/** After so long a caller has gone whose call has surely arrived. */
const impatientMs = 1_500;

describe('calls at the same time', () => {
  const boot = bootImages('halt');
  let node: TestNode;
  let cni: GatedPlugin;
  let libvirtd: Gate;
  let imageId: string;
  const runtime = (): TestNode['kubelet']['client']['runtime'] => node.kubelet.client.runtime;

  beforeAll(async () => {
    node = await startNode({
      images: boot.images,
      config: { vm: { shutdownRepeat: '60s' } }, // a stop that is hurried must not wait for its next look
      conflist: (network) => {
        cni = addGatedPlugin(network);
        return { ...network.conflist, plugins: network.conflist.plugins.map((plugin) => ({ ...plugin, type: cni.type })) };
      },
    });
    libvirtd = libvirtdGate(node);
    imageId = (await node.kubelet.client.image.pullImage({ image: { image } })).imageRef;
  });
  afterEach(async () => {
    for (const gate of [cni.add, cni.del, libvirtd]) gate.open();
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    libvirtd.open();
    await node.stop();
    boot[Symbol.dispose]();
  });

  const pod = (name: string): Pod => vmPod({ name, image });
  const runSandbox = async (which: Pod, options?: CriCallOptions): Promise<string> => {
    const config = sandboxConfig(node.kubelet.settings, which);
    return (await runtime().runPodSandbox({ config, runtimeHandler: 'vm' }, options)).podSandboxId;
  };
  const create = async (running: RunningPod, options?: CriCallOptions): Promise<string> => {
    const [container] = running.pod.containers;
    if (!container) throw new Error('the pod has no container');
    const { settings } = node.kubelet;
    await makeContainerFiles(settings, running.pod, { container, attempt: 0 });
    const config = containerConfig(settings, running.pod, { container, attempt: 0, imageId });
    const request = { podSandboxId: running.sandboxId, config, sandboxConfig: sandboxConfig(settings, running.pod) };
    return (await runtime().createContainer(request, options)).containerId;
  };
  /** Calls travel in order on one connection: when a later one is answered, those before it have arrived. */
  const arrived = async (): Promise<unknown> => runtime().version({});
  const sandboxIds = async (): Promise<string[]> => (await runtime().listPodSandbox({})).items.map(({ id }) => id);
  const containerIds = async (): Promise<string[]> => (await runtime().listContainers({})).containers.map(({ id }) => id);
  const runningVm = async (name: string): Promise<{ running: RunningPod; id: string }> => {
    const running = await runPod(node.kubelet, pod(name));
    const [vm] = running.containers;
    return { running, id: vm?.id ?? '' };
  };

  describe('RunPodSandbox', () => {
    it('whose caller cancels and asks again: one sandbox, one ADD, the same id for all', async () => {
      const [adds, caller, which] = [cni.calls('ADD'), new AbortController(), pod('retried')];
      cni.add.close();
      const first = failureOf(runSandbox(which, { signal: caller.signal }));
      await cni.add.reached();
      caller.abort();
      expect(await first).toMatchObject({ code: 'CANCELLED' });
      const retries = [runSandbox(which), runSandbox(which)];
      expect(await sandboxIds()).toEqual([]);
      cni.add.open();
      const [id, other] = await Promise.all(retries);
      expect(other).toBe(id);
      expect(await sandboxIds()).toEqual([id]);
      expect(cni.calls('ADD') - adds).toBe(1);
    });

    it('whose deadline passes: it goes on, and a retry after it is done gets its sandbox', async () => {
      const [adds, which] = [cni.calls('ADD'), pod('late')];
      cni.add.close();
      const first = failureOf(runSandbox(which, { timeoutMs: impatientMs }));
      await cni.add.reached();
      expect(await first).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      cni.add.open();
      const [id] = await waitFor(async () => onlyIfAny(await sandboxIds()), { timeoutMs: 30_000, what: 'sandbox' });
      expect(await runSandbox(which)).toBe(id);
      expect(await sandboxIds()).toEqual([id]);
      expect(cni.calls('ADD') - adds).toBe(1);
    });

    it('of two pods at once, and of two attempts of one pod: none waits for another', async () => {
      const which = pod('twins');
      const config = sandboxConfig(node.kubelet.settings, which, 1);
      cni.add.close();
      const slow = runSandbox(which);
      await cni.add.reached();
      cni.add.open();
      const [id, next, other] = await Promise.all([
        slow,
        runtime().runPodSandbox({ config, runtimeHandler: 'vm' }),
        runSandbox(pod('another')),
      ]);
      expect(new Set([id, next.podSandboxId, other]).size).toBe(3);
      expect((await sandboxIds()).toSorted()).toEqual([id, next.podSandboxId, other].toSorted());
    });
  });

  describe('CreateContainer', () => {
    it.each([
      ['cancels', 'CANCELLED'],
      ['has a deadline that passes', 'DEADLINE_EXCEEDED'],
    ])('whose caller %s and asks again: the same id, one container, which starts', async (how, code) => {
      const running = await startSandbox(node.kubelet, pod('create'));
      const caller = new AbortController();
      libvirtd.close();
      const first = failureOf(create(running, how === 'cancels' ? { signal: caller.signal } : { timeoutMs: impatientMs }));
      await libvirtd.reached();
      if (how === 'cancels') caller.abort();
      expect(await first).toMatchObject({ code });
      const retries = [create(running), create(running)];
      expect(await containerIds()).toEqual([]);
      libvirtd.open();
      const [id, other] = await Promise.all(retries);
      expect(other).toBe(id);
      expect(await create(running)).toBe(id);
      expect(await containerIds()).toEqual([id]);
      await runtime().startContainer({ containerId: id ?? '' });
      expect(await containerStatus(node.kubelet, id ?? '')).toMatchObject({ state: stateNumbers.RUNNING });
    });

    const createWhile = async (end: 'stopPodSandbox' | 'removePodSandbox'): Promise<string> => {
      const running = await startSandbox(node.kubelet, pod('ending'));
      libvirtd.close();
      const created = create(running);
      await libvirtd.reached();
      let hasEnded = false;
      const ended = runtime()
        [end]({ podSandboxId: running.sandboxId })
        .then(() => (hasEnded = true));
      await arrived();
      expect(hasEnded).toBe(false);
      libvirtd.open();
      const [id] = await Promise.all([created, ended]);
      return id;
    };

    it('and StopPodSandbox meanwhile: both succeed, and the container cannot be started', async () => {
      const id = await createWhile('stopPodSandbox');
      expect(await containerStatus(node.kubelet, id)).toMatchObject({ state: stateNumbers.CREATED });
      expect(await failureOf(runtime().startContainer({ containerId: id }))).toMatchObject({
        code: 'FAILED_PRECONDITION',
        message: expect.stringContaining('NOTREADY') as string,
      });
    });

    it('and RemovePodSandbox meanwhile: both succeed, and nothing is left', async () => {
      const id = await createWhile('removePodSandbox');
      expect(await failureOf(runtime().startContainer({ containerId: id }))).toMatchObject({ code: 'NOT_FOUND' });
      expect([await sandboxIds(), await containerIds()]).toEqual([[], []]);
    });
  });

  describe('StartContainer', () => {
    const starting = async (): Promise<{ id: string; started: Promise<unknown> }> => {
      const id = await create(await startSandbox(node.kubelet, pod('starting')));
      libvirtd.close();
      const started = runtime().startContainer({ containerId: id });
      started.catch(() => undefined); // awaited by the test, later
      return { id, started };
    };

    it('whose deadline passes and which is asked for again: it is started once', async () => {
      const id = await create(await startSandbox(node.kubelet, pod('started')));
      libvirtd.close();
      expect(await failureOf(runtime().startContainer({ containerId: id }, { timeoutMs: impatientMs }))).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
      const retry = runtime().startContainer({ containerId: id });
      await arrived();
      libvirtd.open();
      await retry;
      expect(await containerStatus(node.kubelet, id)).toMatchObject({ state: stateNumbers.RUNNING });
    });

    it('and RemoveContainer meanwhile: the VM is gone when both have answered', async () => {
      const { id, started } = await starting();
      const removed = runtime().removeContainer({ containerId: id });
      await arrived();
      libvirtd.open();
      await Promise.all([started, removed]);
      expect(await failureOf(runtime().containerStatus({ containerId: id }))).toMatchObject({ code: 'NOT_FOUND' });
      expect((await node.leftovers()).filter((line) => /^(process|cgroup)/.test(line))).toEqual([]);
    });

    it('and StopContainer meanwhile: it waits for the start, then ends the VM', async () => {
      const { id, started } = await starting();
      const stopped = runtime().stopContainer({ containerId: id, timeout: 0n });
      await arrived();
      libvirtd.open();
      await Promise.all([started, stopped]);
      expect(await containerStatus(node.kubelet, id)).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137 });
    });
  });

  describe('StopContainer', () => {
    const stop = async (id: string, timeout: bigint): Promise<unknown> => runtime().stopContainer({ containerId: id, timeout });

    /** Calls that libvirt has answered: pressing the power button is one. */
    const changesOfVms = async (): Promise<number> =>
      (await scrape(node))('vmlet_libvirt_calls_total')['{group="lifecycle",outcome="ok"}'] ?? 0;

    it('a second stop with a shorter grace period hurries the first one', async () => {
      const { id } = await runningVm('hurried');
      const began = performance.now();
      const before = await changesOfVms();
      const first = stop(id, 600n);
      const asked = async (): Promise<boolean> => (await changesOfVms()) > before;
      await waitFor(asked, { timeoutMs: 30_000, what: 'request to the guest' });
      await Promise.all([first, stop(id, 1n)]);
      expect(performance.now() - began).toBeLessThan(30_000);
      expect(await containerStatus(node.kubelet, id)).toMatchObject({ exitCode: 137 });
    });

    it('a second stop with a longer grace period lengthens nothing', async () => {
      const { id } = await runningVm('not-slowed');
      const began = performance.now();
      await Promise.all([stop(id, 2n), stop(id, 600n)]);
      expect(performance.now() - began).toBeLessThan(30_000);
      expect(performance.now() - began).toBeGreaterThan(1_900);
    });

    it.each(['stopPodSandbox', 'removePodSandbox'] as const)('%s does not wait for its grace period', async (end) => {
      const { running, id } = await runningVm('killed');
      const began = performance.now();
      const stopped = stop(id, 600n);
      await arrived();
      await runtime()[end]({ podSandboxId: running.sandboxId });
      await stopped;
      expect(performance.now() - began).toBeLessThan(30_000);
    });

    it('whose caller has gone goes on; a later one joins it', async () => {
      const { id } = await runningVm('abandoned');
      expect(await failureOf(runtime().stopContainer({ containerId: id, timeout: 3n }, { timeoutMs: impatientMs }))).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
      await stop(id, 600n);
      expect(await containerStatus(node.kubelet, id)).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137 });
    });
  });

  describe('while a sandbox is held by a slow CNI plugin', () => {
    it('lists, statuses and statistics answer, and another pod is started and stopped', async () => {
      const { running, id } = await runningVm('held');
      const other = await runPod(node.kubelet, vmPod({ name: 'free', image }));
      cni.del.close();
      const dels = cni.calls('DEL');
      const stops = [1, 2].map(async () => runtime().stopPodSandbox({ podSandboxId: running.sandboxId }));
      await cni.del.reached();
      const options = { timeoutMs: promptMs };
      const { client } = node.kubelet;
      const [sandboxes, containers, sandbox, container] = await Promise.all([
        runtime().listPodSandbox({}, options),
        runtime().listContainers({}, options),
        runtime().podSandboxStatus({ podSandboxId: running.sandboxId }, options),
        runtime().containerStatus({ containerId: id }, options),
        runtime().status({}, options),
        runtime().version({}, options),
        runtime().listContainerStats({}, options),
        runtime().listPodSandboxStats({}, options),
        client.image.listImages({}, options),
        client.image.imageFsInfo({}, options),
      ]);
      expect(sandboxes.items).toHaveLength(2);
      expect(containers.containers).toHaveLength(2);
      expect(sandbox.status).toMatchObject({ id: running.sandboxId, state: 1 });
      expect(container.status).toMatchObject({ id, state: stateNumbers.EXITED });
      const third = await runPod(node.kubelet, vmPod({ name: 'third', image }), { signal: AbortSignal.timeout(30_000) });
      await runtime().stopContainer({ containerId: third.containers[0]?.id ?? '', timeout: 0n }, { timeoutMs: 30_000 });
      await runtime().stopContainer({ containerId: other.containers[0]?.id ?? '', timeout: 0n }, { timeoutMs: 30_000 });
      cni.del.open();
      await Promise.all(stops);
      expect(cni.calls('DEL') - dels).toBe(1);
    });

    it('RemovePodSandbox of the held one waits for its turn, and the sandbox is gone', async () => {
      const running = await startSandbox(node.kubelet, pod('removed'));
      cni.del.close();
      const stopped = runtime().stopPodSandbox({ podSandboxId: running.sandboxId });
      await cni.del.reached();
      const removed = runtime().removePodSandbox({ podSandboxId: running.sandboxId });
      await arrived();
      cni.del.open();
      await Promise.all([stopped, removed]);
      expect(await sandboxIds()).toEqual([]);
    });
  });
});

function onlyIfAny(ids: readonly string[]): readonly string[] | undefined {
  return ids.length > 0 ? ids : undefined;
}
