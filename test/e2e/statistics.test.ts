import { statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerStats, LinuxPodSandboxStats, PodSandboxStats, UInt64Value } from '../../src/gen/runtime/v1/api_pb.js';
import { removeAllPods, runPod, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const mebibyte = 2n ** 20n;
const bootMs = 60_000;
/** Several periods of the sampler. */
const sampleMs = 60_000;
/** Between two samples that are compared: on a busy machine, what is read comes later than its time says. */
const apartNs = 2_000_000_000n;

/** A number that must be there. */
function valueOf(value: UInt64Value | undefined): bigint {
  if (!value) throw new Error('a number is missing');
  return value.value;
}

function cpuOf(stats: ContainerStats | undefined): bigint {
  return valueOf(stats?.cpu?.usageCoreNanoSeconds);
}

function timeOf(stats: ContainerStats | undefined): bigint {
  return stats?.cpu?.timestamp ?? 0n;
}

function linuxOf(stats: PodSandboxStats | undefined): LinuxPodSandboxStats {
  if (!stats?.linux) throw new Error('a kubelet would break here');
  return stats.linux;
}

describe('statistics', () => {
  const boot = bootImages('halt', 'spam');
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

  const start = async (kind: 'halt' | 'spam'): Promise<{ running: RunningPod; containerId: string; podSandboxId: string }> => {
    const running = await runPod(node.kubelet, vmPod({ name: kind, image: bootImage(kind) }));
    const [vm] = running.containers;
    if (!vm) throw new Error('the pod has no container');
    await untilLogged(vm.logPath, new RegExp(`vmlet-boot: ${kind}`), bootMs);
    return { running, containerId: vm.id, podSandboxId: running.sandboxId };
  };
  const statsOf = async (containerId: string): Promise<ContainerStats | undefined> =>
    (await node.kubelet.client.runtime.containerStats({ containerId })).stats;
  const nextSample = async (containerId: string, after: ContainerStats | undefined): Promise<ContainerStats> =>
    waitFor(
      async () => {
        const stats = await statsOf(containerId);
        return stats && timeOf(stats) - timeOf(after) > apartNs && stats;
      },
      { timeoutMs: sampleMs, what: 'another sample' },
    );

  it('of a busy VM: CPU rises, memory is QEMU’s, the disk is on a directory that exists', async () => {
    const { containerId } = await start('spam');
    const before = await statsOf(containerId);
    const stats = await nextSample(containerId, before);
    const elapsedNs = timeOf(stats) - timeOf(before);
    const usedNs = cpuOf(stats) - cpuOf(before);
    expect(usedNs).toBeGreaterThan(elapsedNs / 20n); // a busy vCPU and the emulator, on a machine that others use too
    expect(usedNs).toBeLessThan(elapsedNs * 4n);
    expect(stats.cpu?.usageNanoCores).toBeUndefined();
    const { memory, writableLayer } = stats;
    const workingSet = valueOf(memory?.workingSetBytes);
    expect(workingSet).toBeGreaterThan(mebibyte); // what QEMU had before it was in the group counts elsewhere
    expect(workingSet).toBeLessThanOrEqual(128n * mebibyte);
    expect(valueOf(memory?.usageBytes)).toBeGreaterThanOrEqual(workingSet);
    expect(valueOf(memory?.availableBytes)).toBe(128n * mebibyte - workingSet);
    expect(statSync(writableLayer?.fsId?.mountpoint ?? '').isDirectory()).toBe(true);
    expect(valueOf(writableLayer?.usedBytes)).toBeGreaterThan(0n);
    expect(valueOf(writableLayer?.usedBytes)).toBeLessThan(64n * mebibyte);
    expect(valueOf(writableLayer?.inodesUsed)).toBe(2n);
  });

  it('are the same alone, in the list, in the stream and in the pod’s, and end with the VM', async () => {
    const { runtime } = node.kubelet.client;
    const { containerId, podSandboxId } = await start('halt');
    const { listed, alone } = await waitFor(
      async () => {
        const both = { listed: (await runtime.listContainerStats({})).stats, alone: await statsOf(containerId) };
        return timeOf(both.listed[0]) === timeOf(both.alone) && both; // else a sample came between
      },
      { timeoutMs: sampleMs, what: 'two answers of one sample' },
    );
    expect(listed).toEqual([alone]);
    const pod = linuxOf((await runtime.podSandboxStats({ podSandboxId })).stats);
    expect(pod.containers.map(({ attributes }) => attributes?.id)).toEqual([containerId]);
    expect(valueOf(pod.cpu?.usageCoreNanoSeconds)).toBeGreaterThan(0n);
    expect(pod.network?.defaultInterface).toMatchObject({ name: 'eth0', rxBytes: {}, txBytes: {} });
    expect(valueOf(pod.process?.processCount)).toBeGreaterThanOrEqual(1n);
    const streamed: unknown[] = [];
    for await (const { containerStats } of runtime.streamContainerStats({ filter: { id: containerId } })) streamed.push(...containerStats);
    expect(streamed).toHaveLength(1);

    await runtime.stopContainer({ containerId, timeout: 0n });
    expect((await runtime.listContainerStats({})).stats).toEqual([]);
    expect(await failureOf(runtime.containerStats({ containerId }))).toMatchObject({ code: 'FAILED_PRECONDITION' });
    await runtime.removeContainer({ containerId });
    expect(await failureOf(runtime.containerStats({ containerId }))).toMatchObject({ code: 'NOT_FOUND' });
    expect(linuxOf((await runtime.podSandboxStats({ podSandboxId })).stats).containers).toEqual([]);
  });

  it('go on after a restart of the daemon, without a step back', async () => {
    const { containerId } = await start('spam');
    const before = await statsOf(containerId);
    await node.killDaemon();
    await node.startDaemon();
    const after = await statsOf(containerId);
    expect(cpuOf(after)).toBeGreaterThanOrEqual(cpuOf(before));
    expect(timeOf(after)).toBeGreaterThan(timeOf(before));
  });

  it('as metrics: every value has a descriptor with as many labels', async () => {
    const { runtime } = node.kubelet.client;
    const { containerId, podSandboxId } = await start('halt');
    const { descriptors } = await runtime.listMetricDescriptors({});
    const { podMetrics } = await runtime.listPodSandboxMetrics({});
    const pod = podMetrics.find((one) => one.podSandboxId === podSandboxId);
    const own = pod?.containerMetrics.find((one) => one.containerId === containerId)?.metrics ?? [];
    const labels = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys.length]));
    const all = [...(pod?.metrics ?? []), ...own];
    expect(all.filter(({ name, labelValues }) => labels.get(name) !== labelValues.length)).toEqual([]);
    const names = new Set(all.map(({ name }) => name));
    const optional = /_(pressure|blkio|fs_reads|fs_writes)_/; // what a host without pressure information, or an idle disk, has not
    expect(descriptors.map(({ name }) => name).filter((name) => !names.has(name) && !optional.test(name))).toEqual([]);
  });
});
