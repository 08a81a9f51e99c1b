import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { containerStatusToProto, containerToProto } from '../../../src/cri/container-answer.ts';
import { imageToProto, requireReference } from '../../../src/cri/image-answer.ts';
import { resourcesFromProto, resourcesToProto } from '../../../src/cri/resources.ts';
import { sandboxStatusToProto, sandboxToProto } from '../../../src/cri/sandbox-answer.ts';
import { verboseInfo } from '../../../src/cri/verbose.ts';
import {
  ContainerSchema,
  ContainerState,
  ContainerStatusSchema,
  ImageSchema,
  ImageSpecSchema,
  LinuxContainerResourcesSchema,
  NamespaceMode,
  PodSandboxSchema,
  PodSandboxState,
  PodSandboxStatusSchema,
  Signal,
} from '../../../src/gen/runtime/v1/api_pb.js';
import type { Container } from '../../../src/model/container.ts';
import type { Image } from '../../../src/model/image.ts';
import { containerOf, resourcesOf, sandboxOf } from '../pods/samples.ts';
import { refusal } from './requests.ts';

const statusOf = (container: Container): ReturnType<typeof create<typeof ContainerStatusSchema>> =>
  create(ContainerStatusSchema, containerStatusToProto(container));

describe('a sandbox', () => {
  test('in a list', () => {
    const sandbox = sandboxOf({});
    expect(create(PodSandboxSchema, sandboxToProto(sandbox))).toMatchObject({
      id: sandbox.id,
      metadata: sandbox.config.metadata,
      state: PodSandboxState.SANDBOX_READY,
      createdAt: 1_700_000_000_000_000_000n,
      labels: { app: 'x' },
      runtimeHandler: 'vm',
    });
    expect(sandboxToProto(sandboxOf({ state: 'NOTREADY' })).state).toBe(PodSandboxState.SANDBOX_NOTREADY);
  });

  test('has its first address apart from the others, and echoes its namespaces', () => {
    const status = create(PodSandboxStatusSchema, sandboxStatusToProto({ ...sandboxOf({}), ips: ['10.1.0.5', 'fd00::5', '10.2.0.5'] }));
    expect(status.network?.ip).toBe('10.1.0.5');
    expect(status.network?.additionalIps.map(({ ip }) => ip)).toEqual(['fd00::5', '10.2.0.5']);
    expect(status.linux?.namespaces?.options).toMatchObject({
      network: NamespaceMode.POD,
      pid: NamespaceMode.CONTAINER,
      ipc: NamespaceMode.POD,
    });
    expect(status.runtimeHandler).toBe('vm');
  });

  test('without addresses has an empty one', () => {
    const status = create(PodSandboxStatusSchema, sandboxStatusToProto({ ...sandboxOf({ state: 'NOTREADY' }), ips: [] }));
    expect(status.network).toMatchObject({ ip: '', additionalIps: [] });
  });
});

describe('a container', () => {
  test('in a list', () => {
    const container = containerOf({ state: 'RUNNING', attempt: 2 });
    expect(create(ContainerSchema, containerToProto(container))).toMatchObject({
      id: container.id,
      podSandboxId: container.sandboxId,
      metadata: { name: 'vm', attempt: 2 },
      image: { image: 'tiny', userSpecifiedImage: 'tiny' },
      imageId: container.imageId,
      imageRef: container.imageRef,
      state: ContainerState.CONTAINER_RUNNING,
      createdAt: 1_700_000_000_000_000_001n,
    });
  });

  test.each([
    ['CREATED', ContainerState.CONTAINER_CREATED],
    ['RUNNING', ContainerState.CONTAINER_RUNNING],
    ['EXITED', ContainerState.CONTAINER_EXITED],
    ['UNKNOWN', ContainerState.CONTAINER_UNKNOWN],
  ] as const)('%s has CRI’s state', (state, expected) => {
    expect(statusOf(containerOf({ state })).state).toBe(expected);
  });

  test('that has not run has times of 0 and no exit', () => {
    expect(statusOf(containerOf({}))).toMatchObject({ startedAt: 0n, finishedAt: 0n, exitCode: 0, reason: '', message: '' });
  });

  test('that has ended tells when and how', () => {
    const exit = { exitCode: 137, reason: 'OOMKilled', message: 'why', finishedAtNs: 9n } as const;
    const status = statusOf({ ...containerOf({ state: 'EXITED' }), startedAtNs: 5n, exit });
    expect(status).toMatchObject({ startedAt: 5n, finishedAt: 9n, exitCode: 137, reason: 'OOMKilled', message: 'why' });
  });

  test('echoes what the kubelet gave', () => {
    const base = containerOf({});
    const mount = {
      containerPath: '/dev/termination-log',
      hostPath: '/x',
      readonly: true,
      selinuxRelabel: true,
      propagation: 1,
      recursiveReadOnly: true,
    };
    const given = { cpuShares: 102, memoryLimitBytes: 2 ** 40, unified: { 'memory.oom.group': '1' }, oomScoreAdj: -997, cpuQuotaUs: -1 };
    const resources = resourcesOf({ ...given, hugepageLimits: [{ pageSize: '2MB', limitBytes: 0 }] });
    const config = { ...base.config, labels: { a: 'b' }, annotations: { c: 'd' }, mounts: [mount], resources };
    const status = statusOf({ ...base, config });
    expect(status).toMatchObject({ labels: { a: 'b' }, annotations: { c: 'd' }, mounts: [mount], logPath: base.logPath });
    expect(status.resources?.linux).toMatchObject({ cpuShares: 102n, memoryLimitInBytes: 2n ** 40n, oomScoreAdj: -997n, cpuQuota: -1n });
    expect(status.resources?.linux?.hugepageLimits).toMatchObject([{ pageSize: '2MB', limit: 0n }]);
    expect(status.user).toBeUndefined();
  });

  test('without resources has none', () => {
    expect(statusOf(containerOf({})).resources).toBeUndefined();
  });

  test('shows the image as its author wrote it, else as it was asked for', () => {
    const container = containerOf({});
    expect(statusOf(container).image?.image).toBe('tiny');
    expect(statusOf({ ...container, config: { ...container.config, userSpecifiedImage: '' } }).image?.image).toBe(container.config.image);
  });

  test('stops with SIGTERM unless told otherwise', () => {
    const container = containerOf({});
    expect(statusOf(container).stopSignal).toBe(Signal.SIGTERM);
    expect(statusOf({ ...container, config: { ...container.config, stopSignal: Signal.SIGINT } }).stopSignal).toBe(Signal.SIGINT);
  });
});

test('resources come back as they came', () => {
  const proto = create(LinuxContainerResourcesSchema, {
    cpuPeriod: 100_000n,
    cpuQuota: 150_000n,
    cpuShares: 1_024n,
    memoryLimitInBytes: 2n ** 33n,
    oomScoreAdj: -5n,
    cpusetCpus: '0-3',
    cpusetMems: '0',
    hugepageLimits: [{ pageSize: '2MB' }],
    unified: { 'memory.oom.group': '1' },
    memorySwapLimitInBytes: 2n ** 33n,
  });
  expect(create(LinuxContainerResourcesSchema, resourcesToProto(resourcesFromProto('x', proto)))).toEqual(proto);
});

describe('an image', () => {
  const image: Image = {
    id: `sha256:${'1'.repeat(64)}`,
    digest: `sha256:${'2'.repeat(64)}`,
    format: 'qcow2',
    path: '/var/lib/vmlet/images/blobs/1',
    sizeBytes: 4_096,
    allocatedBytes: 8_192,
    virtualSizeBytes: 2 ** 30,
    repoTags: ['tiny:latest'],
    repoDigests: [`tiny@sha256:${'2'.repeat(64)}`],
    pinned: true,
  };

  test('has its size on disk and a user that is not root', () => {
    expect(create(ImageSchema, imageToProto(image))).toMatchObject({
      id: image.id,
      repoTags: ['tiny:latest'],
      repoDigests: image.repoDigests,
      size: 8_192n,
      uid: { value: 107n },
      username: '',
      spec: { image: image.id },
      pinned: true,
    });
  });

  test('must be named in a request', () => {
    expect(requireReference(create(ImageSpecSchema, { image: 'tiny' }))).toBe('tiny');
    expect(refusal(() => requireReference(undefined))).toBe('image.image: is missing');
    expect(refusal(() => requireReference(create(ImageSpecSchema, {})))).toBe('image.image: is missing');
  });
});

test('verbose answers are JSON, large numbers as text', () => {
  expect(verboseInfo(false, () => expect.fail('was asked'))).toEqual({});
  expect(verboseInfo(true, () => ({ at: 2n ** 60n, name: 'x' }))).toEqual({ info: '{"at":"1152921504606846976","name":"x"}' });
});
