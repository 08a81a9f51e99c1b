import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startCriServer } from '../../../src/cri/cri.ts';
import { ImageSpecSchema } from '../../../src/gen/runtime/v1/api_pb.js';
import type { Images } from '../../../src/images/images.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { readyCondition } from '../../../src/model/condition.ts';
import { isCode, makeCriClient, type CriClient } from '../../lib/cri-client.ts';
import { tempDir } from '../../lib/temp.ts';
import { containerOf, leafUsage } from '../pods/samples.ts';
import { makeWorld } from '../pods/world.ts';
import { recordedContainer, recordedSandbox } from './requests.ts';

type Runtime = CriClient['runtime'];

/** Two pods with a VM each, over the real use cases with nothing real below them; the first VM runs. */
async function twoPods(): Promise<{ runtime: Runtime; sandboxes: string[]; containers: string[] }> {
  const socketPath = join(tempDir(), 's.sock');
  const pods = await makeWorld().boot();
  const runtime = {
    runtimeCondition: () => readyCondition,
    networkCondition: () => readyCondition,
    rootDiskSpace: () => ({ mountpoint: '/', usedBytes: 0, inodesUsed: 0 }),
    cgroupDriver: 'cgroupfs',
    info: () => ({}),
  } as const;
  const server = await startCriServer({ socketPath }, { log: silentLog, runtime, pods, images: {} as Images });
  const client = makeCriClient(socketPath);
  onTestFinished(async () => {
    client.close();
    await server.stop(0);
  });
  const made = await Promise.all(['one', 'two'].map(async (name) => makePod(client.runtime, name)));
  const [first] = made;
  await client.runtime.startContainer({ containerId: first?.containerId ?? '' });
  return { runtime: client.runtime, sandboxes: made.map((one) => one.podSandboxId), containers: made.map((one) => one.containerId) };
}

async function makePod(runtime: Runtime, name: string): Promise<{ podSandboxId: string; containerId: string }> {
  const request = recordedSandbox();
  if (request.config.metadata) Object.assign(request.config.metadata, { name, uid: `uid-${name}` });
  request.config.labels['pod'] = name;
  const { podSandboxId } = await runtime.runPodSandbox(request);
  const { config } = recordedContainer();
  config.image = create(ImageSpecSchema, { image: containerOf({}).imageId, userSpecifiedImage: 'tiny' });
  config.labels['vm'] = name;
  config.mounts = [];
  const { containerId } = await runtime.createContainer({ podSandboxId, config });
  return { podSandboxId, containerId };
}

async function collect<M, T>(stream: AsyncIterable<M>, items: (message: M) => readonly T[]): Promise<T[]> {
  const all: T[] = [];
  for await (const message of stream) {
    expect(items(message).length).toBeGreaterThan(0);
    all.push(...items(message));
  }
  return all;
}

async function failsWith(call: Promise<unknown>, code: Parameters<typeof isCode>[1]): Promise<boolean> {
  return call.then(
    () => false,
    (error: unknown) => isCode(error, code),
  );
}

describe('statistics through the socket', () => {
  test('of a container: alone, in the list and in the stream the same', async () => {
    const { runtime, containers } = await twoPods();
    const [running = '', created = ''] = containers;
    const { stats } = await runtime.containerStats({ containerId: running.slice(0, 10) });
    expect(stats).toMatchObject({
      attributes: { id: running, metadata: { name: recordedContainer().config.metadata?.name } },
      cpu: { usageCoreNanoSeconds: { value: leafUsage.cpu?.usageNs } },
    });
    expect(stats?.cpu?.usageNanoCores).toBeUndefined();
    expect((await runtime.listContainerStats({})).stats).toEqual([stats]);
    expect(await collect(runtime.streamContainerStats({}), (message) => message.containerStats)).toEqual([stats]);
    expect(await failsWith(runtime.containerStats({ containerId: created }), 'FAILED_PRECONDITION')).toBe(true);
    expect(await failsWith(runtime.containerStats({ containerId: 'f'.repeat(64) }), 'NOT_FOUND')).toBe(true);
  });

  test('of containers are filtered by id, sandbox and labels', async () => {
    const { runtime, sandboxes, containers } = await twoPods();
    await runtime.startContainer({ containerId: containers[1] ?? '' });
    const ids = async (filter: NonNullable<Parameters<Runtime['listContainerStats']>[0]['filter']>): Promise<unknown[]> => {
      const listed = (await runtime.listContainerStats({ filter })).stats.map(({ attributes }) => attributes?.id);
      const streamed = await collect(runtime.streamContainerStats({ filter }), (message) => message.containerStats);
      expect(streamed.map(({ attributes }) => attributes?.id)).toEqual(listed);
      return listed;
    };
    const [one = '', two = ''] = containers;
    expect(new Set(await ids({}))).toEqual(new Set(containers));
    expect(await ids({ id: two })).toEqual([two]);
    expect(await ids({ id: one.slice(0, 16) })).toEqual([one]);
    expect(await ids({ podSandboxId: sandboxes[1] ?? '' })).toEqual([two]);
    expect(await ids({ labelSelector: { vm: 'one' } })).toEqual([one]);
    expect(await ids({ labelSelector: { vm: 'three' } })).toEqual([]);
    expect(await ids({ id: one, podSandboxId: sandboxes[1] ?? '' })).toEqual([]);
  });

  test('of a sandbox: alone, in the list and in the stream the same', async () => {
    const { runtime, sandboxes, containers } = await twoPods();
    const [podSandboxId = '', other = ''] = sandboxes;
    const { stats } = await runtime.podSandboxStats({ podSandboxId });
    expect(stats?.attributes).toMatchObject({ id: podSandboxId, metadata: { name: 'one', uid: 'uid-one' }, labels: { pod: 'one' } });
    expect(stats?.linux?.containers.map(({ attributes }) => attributes?.id)).toEqual([containers[0]]);
    const filter = { labelSelector: { pod: 'one' } };
    expect((await runtime.listPodSandboxStats({ filter })).stats).toEqual([stats]);
    expect(await collect(runtime.streamPodSandboxStats({ filter }), (message) => message.podSandboxStats)).toEqual([stats]);
    const all = (await runtime.listPodSandboxStats({})).stats;
    expect(all).toHaveLength(2);
    expect(all.every(({ attributes, linux }) => attributes?.metadata && linux)).toBe(true);
    expect((await runtime.listPodSandboxStats({ filter: { id: other.slice(0, 16) } })).stats[0]?.attributes?.id).toBe(other);
    await runtime.stopPodSandbox({ podSandboxId });
    expect(await failsWith(runtime.podSandboxStats({ podSandboxId }), 'FAILED_PRECONDITION')).toBe(true);
    expect(await failsWith(runtime.podSandboxStats({ podSandboxId: 'f'.repeat(64) }), 'NOT_FOUND')).toBe(true);
  });

  test('as metrics: every sandbox, every name described', async () => {
    const { runtime, sandboxes, containers } = await twoPods();
    const described = new Set((await runtime.listMetricDescriptors({})).descriptors.map(({ name }) => name));
    const { podMetrics } = await runtime.listPodSandboxMetrics({});
    expect(podMetrics.map(({ podSandboxId }) => podSandboxId).toSorted()).toEqual(sandboxes.toSorted());
    const own = podMetrics.flatMap(({ containerMetrics }) => containerMetrics);
    expect(own.map(({ containerId }) => containerId)).toEqual([containers[0]]);
    expect(own[0]?.metrics.length).toBeGreaterThan(40);
    for (const { name } of own[0]?.metrics ?? []) expect(described).toContain(name);
    expect(await collect(runtime.streamPodSandboxMetrics({}), (message) => message.podSandboxMetrics)).toEqual(podMetrics);
  });
});
