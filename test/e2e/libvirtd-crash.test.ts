import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deletePod, removeAllPods, runPod, startContainer, stateNumbers, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const bootMs = 60_000;
/** Milliseconds after the beginning of a call. */
const moments = [0, 20, 100, 300] as const;
const patience = { timeoutMs: 90_000, everyMs: 500 };

describe('kill -9 of libvirtd in the middle of a call', () => {
  const boot = bootImages('halt');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
    await node.kubelet.client.image.pullImage({ image: { image: bootImage('halt') } });
  });
  afterEach(async () => {
    await untilReady();
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  /** Kills libvirtd so long after `call` has begun; the call may fail. */
  async function killDuring(moment: number, call: () => Promise<unknown>): Promise<void> {
    const begun = call().catch(() => undefined);
    await delay(moment);
    process.kill(node.libvirtdPid(), 'SIGKILL');
    await begun;
  }

  async function untilReady(): Promise<void> {
    await waitFor(
      async () => {
        const { status } = await node.kubelet.client.runtime.status({});
        return status?.conditions.every((condition) => condition.status);
      },
      { ...patience, what: 'RuntimeReady' },
    );
  }

  /** A kubelet repeats a call until it succeeds. */
  async function again(what: string, call: () => Promise<unknown>): Promise<void> {
    await waitFor(async () => call().then(() => true), { ...patience, what });
  }

  async function started(): Promise<{ running: RunningPod; id: string }> {
    const running = await runPod(node.kubelet, vmPod({ name: 'crash', image: bootImage('halt') }));
    const [vm] = running.containers;
    if (!vm) throw new Error('the pod has no container');
    await untilLogged(vm.logPath, /halt/, bootMs);
    return { running, id: vm.id };
  }

  it.each(moments)('that makes and starts a VM, after %i ms: the next attempt runs', async (moment) => {
    const pod = vmPod({ name: 'crash', image: bootImage('halt') });
    const [container] = pod.containers;
    if (!container) throw new Error('the pod has no container');
    const { runtime } = node.kubelet.client;
    let running = await runPod(node.kubelet, { ...pod, containers: [] });
    running = { ...running, pod };
    await killDuring(moment, async () => startContainer(node.kubelet, running, container));
    await untilReady();
    const { containers } = await runtime.listContainers({});
    const isRunning = containers.some(({ state }) => state === stateNumbers.RUNNING);
    const attempt = Math.max(-1, ...containers.map(({ metadata }) => metadata?.attempt ?? 0)) + 1;
    if (!isRunning) await startContainer(node.kubelet, running, container, { attempt });
    const after = await runtime.listContainers({ filter: { state: { state: stateNumbers.RUNNING } } });
    expect(after.containers).toHaveLength(1);
  });

  it.each(moments)('that stops a VM, after %i ms: it ends, once, and leaves nothing', async (moment) => {
    const { running, id } = await started();
    const { runtime } = node.kubelet.client;
    await killDuring(moment, async () => runtime.stopContainer({ containerId: id, timeout: 0n }));
    await again('StopContainer', async () => runtime.stopContainer({ containerId: id, timeout: 0n }));
    const { status } = await runtime.containerStatus({ containerId: id });
    expect(status).toMatchObject({ state: stateNumbers.EXITED });
    expect(status?.exitCode).not.toBe(0);
    await again('the end of the pod', async () => deletePod(node.kubelet, running, { graceSeconds: 2 }));
  });

  it.each(moments)('that removes a running pod, after %i ms: it goes', async (moment) => {
    const { running } = await started();
    const { runtime } = node.kubelet.client;
    const remove = async (): Promise<unknown> => runtime.removePodSandbox({ podSandboxId: running.sandboxId });
    await killDuring(moment, remove);
    await again('RemovePodSandbox', remove);
    expect((await runtime.listPodSandbox({})).items).toEqual([]);
    expect((await runtime.listContainers({})).containers).toEqual([]);
  });
});
