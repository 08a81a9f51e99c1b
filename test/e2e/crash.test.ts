import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deletePod, removeAllPods, runPod, stateNumbers, type RunningPod } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const bootMs = 60_000;

/** Milliseconds after the beginning of a call: from the first record to a VM that runs. */
const moments = [5, 30, 60, 130, 250, 400, 600, 1_000] as const;

describe('kill -9 of the daemon at any moment', () => {
  const boot = bootImages('halt');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
    await node.kubelet.client.image.pullImage({ image: { image: bootImage('halt') } });
  });
  afterEach(async () => {
    if (!node.daemonRuns()) await node.startDaemon();
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  it.each(moments)('of a pod’s start, after %i ms: it can be started again, once, and removed without a trace', async (moment) => {
    const pod = vmPod({ name: 'crash', image: bootImage('halt') });
    const first = runPod(node.kubelet, pod).catch(() => undefined);
    await delay(moment);
    await node.killDaemon();
    await first;
    await node.startDaemon();
    await removeUnready(node);

    const { runtime } = node.kubelet.client;
    const ready = (await runtime.listPodSandbox({})).items;
    expect(ready.length).toBeLessThanOrEqual(1);
    // A kubelet that finds no sandbox makes the next attempt; one that finds it asks for its containers and goes on from there.
    await removeAllPods(node.kubelet);
    const running = await runPod(node.kubelet, pod, { sandboxAttempt: 1 });
    const [vm] = running.containers;
    await untilLogged(vm?.logPath ?? '', /halt/, bootMs);
    expect((await runtime.listContainers({ filter: { state: { state: stateNumbers.RUNNING } } })).containers).toHaveLength(1);
    await deletePod(node.kubelet, running, { graceSeconds: 2 });
    await requireClean(node);
  });

  it.each([5, 50, 200, 400])('of a pod’s end, after %i ms: its VM is EXITED or gone, and is removed without a trace', async (moment) => {
    const running = await runPod(node.kubelet, vmPod({ name: 'crash', image: bootImage('halt') }));
    await untilLogged(running.containers[0]?.logPath ?? '', /halt/, bootMs);
    const first = endNow(node, running).catch(() => undefined);
    await delay(moment);
    await node.killDaemon();
    await first;
    await node.startDaemon();
    await endNow(node, running);
    expect((await node.kubelet.client.runtime.listContainers({})).containers).toEqual([]);
    await requireClean(node);
  });
});

/** Stops and removes by the kubelet's calls, which must all succeed however often they are repeated. */
async function endNow({ kubelet }: TestNode, { sandboxId, containers }: RunningPod): Promise<void> {
  const { runtime } = kubelet.client;
  for (const { id } of containers) {
    await runtime.stopContainer({ containerId: id, timeout: 0n });
    const { containers: known } = await runtime.listContainers({ filter: { id } });
    if (known.some(({ state }) => state !== stateNumbers.EXITED)) throw new Error(`container ${id} is not EXITED after StopContainer`);
    await runtime.removeContainer({ containerId: id });
  }
  await runtime.stopPodSandbox({ podSandboxId: sandboxId });
  await runtime.removePodSandbox({ podSandboxId: sandboxId });
}

/** What a kubelet does with sandboxes that are not ready. */
async function removeUnready({ kubelet: { client } }: TestNode): Promise<void> {
  const { items } = await client.runtime.listPodSandbox({});
  for (const { id, state } of items) {
    if (state === 0) continue;
    await client.runtime.stopPodSandbox({ podSandboxId: id });
    await client.runtime.removePodSandbox({ podSandboxId: id });
  }
}
