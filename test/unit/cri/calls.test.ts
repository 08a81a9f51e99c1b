import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startCriServer, type CriDeps } from '../../../src/cri/cri.ts';
import { CgroupDriver, ContainerState, ImageSpecSchema, PodSandboxState } from '../../../src/gen/runtime/v1/api_pb.js';
import type { Images } from '../../../src/images/images.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { vmletVersion } from '../../../src/lib/version.ts';
import { readyCondition } from '../../../src/model/condition.ts';
import { VmletError } from '../../../src/model/errors.ts';
import type { Image } from '../../../src/model/image.ts';
import type { Pods } from '../../../src/pods/pods.ts';
import { isCode, makeCriClient, type CriClient } from '../../lib/cri-client.ts';
import { tempDir } from '../../lib/temp.ts';
import { containerOf } from '../pods/samples.ts';
import { makeWorld, type World } from '../pods/world.ts';
import { recordedContainer, recordedSandbox } from './requests.ts';

/** The image that the world of pods has. */
const image: Image = {
  id: containerOf({}).imageId,
  digest: `sha256:${'2'.repeat(64)}`,
  format: 'qcow2',
  path: '/images/base',
  sizeBytes: 10,
  allocatedBytes: 8_192,
  virtualSizeBytes: 20,
  repoTags: ['tiny:latest'],
  repoDigests: [],
  pinned: false,
};

const runtimeFacts: CriDeps['runtime'] = {
  runtimeCondition: () => readyCondition,
  networkCondition: () => readyCondition,
  rootDiskSpace: () => ({ mountpoint: '/var/lib/vmlet/images', usedBytes: 4_096, inodesUsed: 2 }),
  cgroupDriver: 'cgroupfs',
  info: () => ({}),
};

/** A server and a client of it; rooms that are not given must not be asked. */
async function serve(deps: Partial<CriDeps>): Promise<CriClient> {
  const socketPath = join(tempDir(), 's.sock');
  const unasked = new Proxy({}, { get: (_target, name) => expect.fail(`asked for ${String(name)}`) });
  const server = await startCriServer(
    { socketPath },
    { log: silentLog, runtime: runtimeFacts, pods: unasked as Pods, images: unasked as Images, ...deps },
  );
  const client = makeCriClient(socketPath);
  onTestFinished(async () => {
    client.close();
    await server.stop(0);
  });
  return client;
}

/** A runtime over the real use cases of pods, with nothing real below them. */
async function podWorld(): Promise<{ world: World; runtime: CriClient['runtime'] }> {
  const world = makeWorld();
  const { runtime } = await serve({ pods: await world.boot() });
  return { world, runtime };
}

/** Runs the recorded pod as far as a CREATED container. */
async function createPod(runtime: CriClient['runtime']): Promise<{ podSandboxId: string; containerId: string }> {
  const { podSandboxId } = await runtime.runPodSandbox(recordedSandbox());
  const { config } = recordedContainer();
  config.image = create(ImageSpecSchema, { image: image.id, userSpecifiedImage: 'tiny' });
  const { containerId } = await runtime.createContainer({ podSandboxId, config });
  return { podSandboxId, containerId };
}

async function codeOf(call: Promise<unknown>, code: Parameters<typeof isCode>[1]): Promise<boolean> {
  return call.then(
    () => false,
    (error: unknown) => isCode(error, code),
  );
}

describe('the runtime', () => {
  test('names itself as a kubelet demands', async () => {
    const { runtime } = await serve({});
    expect(await runtime.version({ version: '0.1.0' })).toMatchObject({
      version: '0.1.0',
      runtimeName: 'vmlet',
      runtimeVersion: vmletVersion,
      runtimeApiVersion: 'v1',
    });
  });

  test.each([
    ['cgroupfs', CgroupDriver.CGROUPFS],
    ['systemd', CgroupDriver.SYSTEMD],
  ] as const)('tells its cgroup driver: %s', async (cgroupDriver, expected) => {
    const facts = { ...runtimeFacts, cgroupDriver };
    const { runtime } = await serve({ runtime: facts });
    expect((await runtime.runtimeConfig({})).linux?.cgroupDriver).toBe(expected);
  });

  test('tells both conditions, its handlers, and more only when asked', async () => {
    const { runtime } = await serve({
      runtime: {
        runtimeCondition: () => ({ ready: true, reason: '', message: 'no KVM' }),
        networkCondition: () => ({ ready: false, reason: 'CniConfigMissing', message: 'no conflist' }),
        rootDiskSpace: runtimeFacts.rootDiskSpace,
        cgroupDriver: 'cgroupfs',
        info: () => ({ accelerator: 'qemu' }),
      },
    });
    const answer = await runtime.status({});
    expect(answer.status?.conditions).toMatchObject([
      { type: 'RuntimeReady', status: true, reason: '', message: 'no KVM' },
      { type: 'NetworkReady', status: false, reason: 'CniConfigMissing', message: 'no conflist' },
    ]);
    expect(answer.runtimeHandlers.map(({ name }) => name)).toEqual(['', 'vm']);
    expect(answer.runtimeHandlers.every(({ features }) => features && !features.userNamespaces && !features.recursiveReadOnlyMounts)).toBe(
      true,
    );
    expect(answer.info).toEqual({});
    expect((await runtime.status({ verbose: true })).info).toEqual({ info: '{"accelerator":"qemu"}' });
  });

  test('hears of the pod CIDR', async () => {
    const { runtime } = await serve({});
    await expect(runtime.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: '10.88.0.0/24' } } })).resolves.toBeDefined();
  });
});

describe('a pod’s life', () => {
  test('from the first call to the last, as a kubelet sees it', async () => {
    const { world, runtime } = await podWorld();
    const { podSandboxId, containerId } = await createPod(runtime);
    expect(podSandboxId).toMatch(/^[0-9a-f]{64}$/);
    expect((await runtime.podSandboxStatus({ podSandboxId })).status).toMatchObject({
      state: PodSandboxState.SANDBOX_READY,
      network: { ip: expect.stringMatching(/\d/) },
    });
    expect((await runtime.listContainers({})).containers).toMatchObject([{ id: containerId, state: ContainerState.CONTAINER_CREATED }]);

    await runtime.startContainer({ containerId });
    const running = (await runtime.containerStatus({ containerId })).status;
    expect(running).toMatchObject({ state: ContainerState.CONTAINER_RUNNING, imageId: image.id, image: { image: 'tiny' } });
    expect(running?.startedAt).toBeGreaterThan(0n);
    await runtime.reopenContainerLog({ containerId });
    expect(world.calls).toContain('reopen log');

    await runtime.stopContainer({ containerId, timeout: 30n });
    expect((await runtime.containerStatus({ containerId })).status).toMatchObject({
      state: ContainerState.CONTAINER_EXITED,
      reason: 'Completed',
    });
    await runtime.removeContainer({ containerId });
    expect(await codeOf(runtime.containerStatus({ containerId }), 'NOT_FOUND')).toBe(true);

    await runtime.stopPodSandbox({ podSandboxId });
    expect((await runtime.listPodSandbox({})).items).toMatchObject([{ id: podSandboxId, state: PodSandboxState.SANDBOX_NOTREADY }]);
    await runtime.removePodSandbox({ podSandboxId });
    expect((await runtime.listPodSandbox({})).items).toEqual([]);
    expect(await codeOf(runtime.podSandboxStatus({ podSandboxId }), 'NOT_FOUND')).toBe(true);
  });

  test('stopping and removing what is unknown succeeds, all else is NOT_FOUND', async () => {
    const { runtime } = await podWorld();
    const [containerId, podSandboxId] = ['f'.repeat(64), 'e'.repeat(64)];
    await runtime.stopContainer({ containerId });
    await runtime.removeContainer({ containerId });
    await runtime.stopPodSandbox({ podSandboxId });
    await runtime.removePodSandbox({ podSandboxId });
    expect(await codeOf(runtime.startContainer({ containerId }), 'NOT_FOUND')).toBe(true);
    expect(await codeOf(runtime.reopenContainerLog({ containerId }), 'NOT_FOUND')).toBe(true);
    expect(await codeOf(runtime.createContainer({ podSandboxId, config: recordedContainer().config }), 'NOT_FOUND')).toBe(true);
  });

  test('verbose answers tell how the VM was made', async () => {
    const { runtime } = await podWorld();
    const { podSandboxId, containerId } = await createPod(runtime);
    const { info } = await runtime.containerStatus({ containerId, verbose: true });
    expect(JSON.parse(info['info'] ?? '')).toMatchObject({ vm: { domainName: `vmlet-${containerId.slice(0, 12)}` } });
    const sandbox = await runtime.podSandboxStatus({ podSandboxId, verbose: true });
    expect(JSON.parse(sandbox.info['info'] ?? '')).toMatchObject({ id: podSandboxId });
    expect((await runtime.podSandboxStatus({ podSandboxId })).info).toEqual({});
    expect(sandbox.timestamp).toBe(0n);
  });

  test('lists are filtered, by unique prefix too', async () => {
    const { runtime } = await podWorld();
    const { podSandboxId, containerId } = await createPod(runtime);
    expect((await runtime.listContainers({ filter: { id: containerId.slice(0, 8) } })).containers).toHaveLength(1);
    expect((await runtime.listContainers({ filter: { podSandboxId: 'ffff' } })).containers).toEqual([]);
    const streamed: string[] = [];
    for await (const { containers } of runtime.streamContainers({})) streamed.push(...containers.map(({ id }) => id));
    for await (const { podSandboxes } of runtime.streamPodSandboxes({})) streamed.push(...podSandboxes.map(({ id }) => id));
    for await (const message of runtime.streamContainers({ filter: { id: 'ffff' } })) expect.fail(`nothing matches: ${message.$typeName}`);
    expect(streamed).toEqual([containerId, podSandboxId]);
    expect((await runtime.listPodSandbox({ filter: { id: podSandboxId.slice(0, 8), labelSelector: { app: 'demo' } } })).items).toHaveLength(
      1,
    );
  });

  test('what is refused is not begun', async () => {
    const { world, runtime } = await podWorld();
    const request = recordedSandbox();
    expect(await codeOf(runtime.runPodSandbox({ ...request, runtimeHandler: 'kata' }), 'INVALID_ARGUMENT')).toBe(true);
    expect(world.calls).not.toContain('attach');
  });
});

describe('a grace period', () => {
  test.each([
    [30n, 30_000],
    [0n, 0],
    [-1n, 0],
    [10n ** 9n, 20 * 24 * 3_600 * 1_000],
  ])('of %d s is %d ms', async (timeout, expected) => {
    const asked: number[] = [];
    const pods = { stopContainer: async (_id: string, graceMs: number) => void asked.push(graceMs) } as unknown as Pods;
    const { runtime } = await serve({ pods });
    await runtime.stopContainer({ containerId: 'a', timeout });
    expect(asked).toEqual([expected]);
    expect(asked[0]).toBeLessThan(2 ** 31); // what a timer can wait
  });
});

describe('images', () => {
  /** A store with one image, and what it was asked to remove. */
  function store(changes: Partial<Images> = {}): { images: Images; removed: string[] } {
    const removed: string[] = [];
    const images = {
      list: () => [image],
      find: (reference: string): Image | undefined => (['tiny', image.id].includes(reference) ? image : undefined),
      pull: async () => image,
      remove: async (reference: string) => void removed.push(reference),
      usage: () => ({ mountpoint: '/var/lib/vmlet/images', usedBytes: 8_192, inodesUsed: 3 }),
      ...changes,
    } as unknown as Images;
    return { images, removed };
  }

  test('are listed, or the one that is asked for', async () => {
    const { image: service } = await serve(store());
    expect((await service.listImages({})).images.map(({ id }) => id)).toEqual([image.id]);
    expect((await service.listImages({ filter: { image: { image: 'tiny' } } })).images).toHaveLength(1);
    expect((await service.listImages({ filter: { image: { image: 'other' } } })).images).toEqual([]);
  });

  test('one that is absent is an empty answer', async () => {
    const { image: service } = await serve(store());
    expect((await service.imageStatus({ image: { image: 'other' } })).image).toBeUndefined();
    const present = await service.imageStatus({ image: { image: 'tiny' }, verbose: true });
    expect(present.image).toMatchObject({ id: image.id, uid: { value: 107n } });
    expect(JSON.parse(present.info['info'] ?? '')).toMatchObject({ format: image.format });
  });

  test('a pull answers the id that all else tells', async () => {
    const { image: service } = await serve(store());
    expect(await service.pullImage({ image: { image: 'tiny' } })).toMatchObject({ imageRef: image.id });
  });

  test('a pull has the credentials that were given, and only those', async () => {
    const asked: unknown[] = [];
    const pull: Images['pull'] = async (request) => {
      asked.push(request);
      return Promise.resolve(image);
    };
    const { image: service } = await serve(store({ pull }));
    await service.pullImage({ image: { image: 'a' } });
    await service.pullImage({ image: { image: 'b' }, auth: { username: 'user', password: 'secret' } });
    await service.pullImage({ image: { image: 'c' }, auth: { auth: 'dTpw', serverAddress: 'https://r.example' } });
    await service.pullImage({ image: { image: 'd' }, auth: { identityToken: 'refresh', registryToken: 'bearer' } });
    expect(asked).toEqual([
      { reference: 'a', auth: undefined },
      { reference: 'b', auth: { username: 'user', password: 'secret' } },
      { reference: 'c', auth: { auth: 'dTpw', serverAddress: 'https://r.example' } },
      { reference: 'd', auth: { identityToken: 'refresh', registryToken: 'bearer' } },
    ]);
  });

  test('a pull that fails tells the kubelet why', async () => {
    const failure = new VmletError({ code: 'PULL_FAILED', reference: 'x', reason: 'registry-away' }, 'no route to host');
    const { image: service } = await serve(store({ pull: async () => Promise.reject(failure) }));
    await expect(service.pullImage({ image: { image: 'x' } })).rejects.toMatchObject({ details: 'RegistryUnavailable: no route to host' });
    expect(await codeOf(service.pullImage({ image: { image: 'x' } }), 'UNKNOWN')).toBe(true);
  });

  test('a pull whose caller goes is cancelled', async () => {
    const [begun, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()];
    const pull: Images['pull'] = async (_reference, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          cancelled.resolve(signal.reason);
          reject(signal.reason);
        });
        begun.resolve();
      });
    const { image: service } = await serve(store({ pull }));
    const caller = new AbortController();
    const call = codeOf(service.pullImage({ image: { image: 'x' } }, { signal: caller.signal }), 'CANCELLED');
    await begun.promise;
    caller.abort();
    expect(await call).toBe(true);
    expect(await cancelled.promise).toMatchObject({ name: 'AbortError' });
  });

  test('are removed by name or id', async () => {
    const { images, removed } = store();
    const { image: service } = await serve({ images });
    await service.removeImage({ image: { image: image.id } });
    expect(removed).toEqual([image.id]);
  });

  test.each(['imageStatus', 'pullImage', 'removeImage'] as const)('%s without a name is refused', async (method) => {
    const { image: service } = await serve(store());
    expect(await codeOf(service[method]({}), 'INVALID_ARGUMENT')).toBe(true);
  });

  test('their space is told for images and containers', async () => {
    const { image: service } = await serve(store());
    const { imageFilesystems, containerFilesystems } = await service.imageFsInfo({});
    expect(imageFilesystems).toMatchObject([
      { fsId: { mountpoint: '/var/lib/vmlet/images' }, usedBytes: { value: 8_192n }, inodesUsed: { value: 3n } },
    ]);
    expect(containerFilesystems).toMatchObject([
      { fsId: { mountpoint: '/var/lib/vmlet/images' }, usedBytes: { value: 4_096n }, inodesUsed: { value: 2n } },
    ]);
    expect(imageFilesystems[0]?.timestamp).toBeGreaterThan(1_600_000_000_000_000_000n);
  });
});
