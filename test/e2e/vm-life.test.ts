import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  containerStatus,
  deletePod,
  readLog,
  removeAllPods,
  runPod,
  sandboxConfig,
  startContainer,
  stateNumbers,
  waitForState,
  type ContainerStatus,
  type RunningContainer,
  type RunningPod,
} from '../kubelet/kubelet.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { processesWith } from '../node/processes.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const bootMs = 60_000;

describe('the life of a VM', () => {
  const boot = bootImages('acpi', 'halt', 'off', 'panic');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
  });
  afterEach(async () => {
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  const start = async (kind: Parameters<typeof bootImage>[0], name = 'vm'): Promise<{ running: RunningPod; vm: RunningContainer }> => {
    const running = await runPod(node.kubelet, vmPod({ name, image: bootImage(kind) }));
    const [vm] = running.containers;
    if (!vm) throw new Error('the pod has no container');
    return { running, vm };
  };
  const stop = async (id: string, timeout: bigint): Promise<unknown> =>
    node.kubelet.client.runtime.stopContainer({ containerId: id, timeout });

  it('ends by the power button: Completed, 0', async () => {
    const { running, vm } = await start('acpi');
    await untilLogged(vm.logPath, /vmlet-boot: acpi/, bootMs);
    const began = performance.now();
    const [status] = await deletePod(node.kubelet, running, { graceSeconds: 60 });
    expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 0, reason: 'Completed' });
    expect(performance.now() - began).toBeLessThan(30_000);
    await requireClean(node);
  });

  it('is destroyed after the grace period when it ignores the power button: Error, 137', async () => {
    const { running, vm } = await start('halt');
    await untilLogged(vm.logPath, /vmlet-boot: halt/, bootMs);
    const began = performance.now();
    const [status] = await deletePod(node.kubelet, running, { graceSeconds: 3 });
    expect(status).toMatchObject({ exitCode: 137, reason: 'Error' });
    expect(status?.message).toMatch(/grace/);
    expect(performance.now() - began).toBeGreaterThanOrEqual(3_000);
    await requireClean(node);
  });

  it('powers off by itself: EXITED without any call, and times in order', async () => {
    const { vm } = await start('off');
    const status = await waitForState(node.kubelet, vm.id, 'EXITED', bootMs);
    expect(status).toMatchObject({ exitCode: 0, reason: 'Completed' });
    expectOrder(status);
    expect(await readLog(vm.logPath)).toContain('vmlet-boot: off');
  });

  it('QEMU runs as an uid of its own, in a leaf of the pod’s cgroup, and no other VM’s uid', async () => {
    const pods = [await start('halt', 'one'), await start('halt', 'two')];
    const uids = pods.map(({ running, vm }) => {
      const [qemu] = processesWith([domainNameOf(vm.id)]).filter(({ command }) => command.includes('qemu-system'));
      const cgroups = readFileSync(`/proc/${qemu?.pid}/cgroup`, 'utf8').split('\n');
      expect(cgroups.find((line) => /:memory:|^0::/.test(line))).toMatch(new RegExp(`/pod${running.pod.uid}/.+`));
      return /^Uid:\s+(\d+)\s+\1\s+\1/m.exec(readFileSync(`/proc/${qemu?.pid}/status`, 'utf8'))?.[1];
    });
    expect(uids.every((uid) => Number(uid) >= 1_500_000_000)).toBe(true);
    expect(new Set(uids).size).toBe(2);
  });

  it('panics: Error, 134', async () => {
    const { vm } = await start('panic');
    expect(await waitForState(node.kubelet, vm.id, 'EXITED', bootMs)).toMatchObject({
      exitCode: 134,
      reason: 'Error',
      message: 'guest panicked',
    });
  });

  it('is restarted as the next attempt in the same sandbox, with a log of its own', async () => {
    const { running, vm } = await start('off');
    await waitForState(node.kubelet, vm.id, 'EXITED', bootMs);
    const [container] = running.pod.containers;
    if (!container) throw new Error('the pod has no container');
    const next = await startContainer(node.kubelet, running, container, { attempt: 1 });
    expect(next.id).not.toBe(vm.id);
    expect(next.logPath).toMatch(/\/vm\/1\.log$/);
    await waitForState(node.kubelet, next.id, 'EXITED', bootMs);
    expect(await readLog(next.logPath)).toContain('vmlet-boot: off');
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({ state: stateNumbers.EXITED, metadata: { attempt: 0 } });
  });

  it('is killed at once with a timeout of 0', async () => {
    const { vm } = await start('halt');
    await stop(vm.id, 0n);
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137, reason: 'Error' });
  });

  it('two stops at once: the shorter grace period counts, both succeed', async () => {
    const { vm } = await start('halt');
    const began = performance.now();
    await Promise.all([stop(vm.id, 600n), stop(vm.id, 2n)]);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({ exitCode: 137 });
    await stop(vm.id, 5n);
  });

  it('RunPodSandbox, retried while it runs and after, answers the same sandbox', async () => {
    const pod = vmPod({ name: 'twice', image: bootImage('halt') });
    const request = { config: sandboxConfig(node.kubelet.settings, pod), runtimeHandler: 'vm' };
    const { runtime } = node.kubelet.client;
    const [first, second] = await Promise.all([runtime.runPodSandbox(request), runtime.runPodSandbox(request)]);
    expect(second.podSandboxId).toBe(first.podSandboxId);
    expect((await runtime.runPodSandbox(request)).podSandboxId).toBe(first.podSandboxId);
    const { items } = await runtime.listPodSandbox({});
    expect(items).toHaveLength(1);
  });

  it('a second VM in the sandbox is refused, and says why', async () => {
    const { running } = await start('halt');
    const [container] = running.pod.containers;
    if (!container) throw new Error('the pod has no container');
    const failure = await failureOf(startContainer(node.kubelet, running, { ...container, name: 'other' }));
    expect(failure).toMatchObject({ code: 'FAILED_PRECONDITION' });
    expect(failure.message).toMatch(/one VM/);
  });

  it('StopPodSandbox kills the VM and frees the network; the sandbox is listed as not ready', async () => {
    const { running, vm } = await start('halt');
    const { runtime } = node.kubelet.client;
    await runtime.stopPodSandbox({ podSandboxId: running.sandboxId });
    await runtime.stopPodSandbox({ podSandboxId: running.sandboxId });
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({ state: stateNumbers.EXITED });
    expect((await runtime.listPodSandbox({})).items).toMatchObject([{ id: running.sandboxId, state: 1 }]);
    expect((await node.leftovers()).filter((line) => /^(netns|link|rule|lease|process)/.test(line))).toEqual([]);
  });

  it('ids are found by a unique prefix and by labels, as crictl asks', async () => {
    const { running, vm } = await start('halt', 'labelled');
    const { runtime } = node.kubelet.client;
    const byPrefix = await runtime.listContainers({ filter: { id: vm.id.slice(0, 8) } });
    expect(byPrefix.containers.map(({ id }) => id)).toEqual([vm.id]);
    const byLabel = await runtime.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.name': 'labelled' } } });
    expect(byLabel.items.map(({ id }) => id)).toEqual([running.sandboxId]);
    const none = await runtime.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.name': 'other' } } });
    expect(none.items).toEqual([]);
  });

  it('unknown ids: stop and remove succeed, status says NOT_FOUND', async () => {
    const { runtime } = node.kubelet.client;
    const id = 'f'.repeat(64);
    await runtime.stopContainer({ containerId: id, timeout: 0n });
    await runtime.removeContainer({ containerId: id });
    await runtime.stopPodSandbox({ podSandboxId: id });
    await runtime.removePodSandbox({ podSandboxId: id });
    for (const call of [
      runtime.containerStatus({ containerId: id }),
      runtime.podSandboxStatus({ podSandboxId: id }),
      runtime.startContainer({ containerId: id }),
    ]) {
      expect(await failureOf(call)).toMatchObject({ code: 'NOT_FOUND' });
    }
  });

  it('ten VMs live at once', async () => {
    const pods = await Promise.all(Array.from({ length: 10 }, async (_, index) => start('halt', `many-${index}`)));
    expect(new Set(pods.map(({ running }) => running.ips[0])).size).toBe(10);
    await Promise.all(pods.map(async ({ vm }) => untilLogged(vm.logPath, /vmlet-boot: halt/, 2 * bootMs)));
    await Promise.all(pods.map(async ({ running }) => deletePod(node.kubelet, running, { graceSeconds: 2 })));
    await requireClean(node);
  });
});

function expectOrder({ createdAt, startedAt, finishedAt }: ContainerStatus): void {
  expect(createdAt).toBeLessThan(startedAt);
  expect(startedAt).toBeLessThanOrEqual(finishedAt);
}
