import type { MessageShape } from '@bufbuild/protobuf';
import type { ContainerStatusSchema, PodSandboxStatusSchema } from '../../src/gen/runtime/v1/api_pb.js';
import { isCode, type CriClient } from '../lib/cri-client.ts';
import { containerConfig } from './container-config.ts';
import { makeContainerFiles, makePodFiles, removeLogs, removePodFiles } from './node-files.ts';
import { makePodCgroup, removePodCgroup } from './pod-cgroup.ts';
import type { Pod, PodContainer } from './pod.ts';
import { podAnnotations, podCgroup, sandboxConfig } from './sandbox-config.ts';
import type { KubeletSettings } from './settings.ts';

/** A kubelet: its settings and its connection to the runtime. */
export interface Kubelet {
  readonly settings: KubeletSettings;
  readonly client: CriClient;
}

export type ContainerStatus = MessageShape<typeof ContainerStatusSchema>;
export type SandboxStatus = MessageShape<typeof PodSandboxStatusSchema>;

/** What the player is doing, for people who watch. */
export type Progress =
  | { readonly stage: 'runtime'; readonly name: string; readonly version: string }
  | { readonly stage: 'sandbox'; readonly sandboxId: string; readonly ip: string }
  | { readonly stage: 'image present' | 'pulling' | 'pulled'; readonly image: string; readonly sizeBytes?: number }
  | { readonly stage: 'created' | 'started'; readonly container: string; readonly containerId: string };

/** A container of a pod that runs. */
export interface RunningContainer {
  readonly name: string;
  readonly id: string;
  readonly attempt: number;
  readonly imageId: string;
  /** Absolute path of the CRI log, as ContainerStatus reports it. */
  readonly logPath: string;
}

/** A pod that runs. */
export interface RunningPod {
  readonly pod: Pod;
  readonly sandboxId: string;
  readonly sandboxAttempt: number;
  readonly ips: readonly string[];
  readonly containers: readonly RunningContainer[];
}

/** Options of `runPod`. */
export interface RunOptions {
  readonly on?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
  readonly sandboxAttempt?: number;
}

/** Deadlines of a kubelet's calls with `runtimeRequestTimeout` of 2 min; PullImage has none. */
export const deadlineMs = { usual: 120_000, runPodSandbox: 240_000 } as const;

/**
 * Plays a kubelet that starts a pod: runtime ready -> RunPodSandbox -> for each container image, CreateContainer, StartContainer ->
 * statuses, in a kubelet's order and with its deadlines. Throws as soon as a call fails or answers what a kubelet would reject; what
 * was made by then is still there.
 */
export async function runPod(kubelet: Kubelet, pod: Pod, options: RunOptions = {}): Promise<RunningPod> {
  await requireReady(kubelet, options);
  const running = await startSandbox(kubelet, pod, options);
  const containers: RunningContainer[] = [];
  for (const container of pod.containers) containers.push(await startContainer(kubelet, running, container, options));
  return { ...running, containers };
}

/** Makes a pod's files, cgroup and sandbox: the beginning of `runPod`, or what follows when a sandbox has died. */
export async function startSandbox(kubelet: Kubelet, pod: Pod, options: RunOptions = {}): Promise<RunningPod> {
  const { on = () => undefined, sandboxAttempt = 0 } = options;
  const call = callOptions(options.signal);
  await makePodFiles(kubelet.settings, pod);
  await makePodCgroup(podCgroup(kubelet.settings, pod));
  const { runtime } = kubelet.client;
  const config = sandboxConfig(kubelet.settings, pod, sandboxAttempt);
  const { podSandboxId: sandboxId } = await runtime.runPodSandbox(
    { config, runtimeHandler: pod.runtimeHandler },
    { ...call, timeoutMs: deadlineMs.runPodSandbox },
  );
  const status = checkSandbox((await runtime.podSandboxStatus({ podSandboxId: sandboxId }, call)).status, pod);
  const ips = [status.network?.ip ?? '', ...(status.network?.additionalIps ?? []).map(({ ip }) => ip)];
  on({ stage: 'sandbox', sandboxId, ip: ips[0] ?? '' });
  return { pod, sandboxId, sandboxAttempt, ips, containers: [] };
}

/** Starts one container of a pod whose sandbox is there: its first start, or a restart with the next `attempt`. */
export async function startContainer(
  kubelet: Kubelet,
  running: RunningPod,
  container: PodContainer,
  options: RunOptions & { readonly attempt?: number } = {},
): Promise<RunningContainer> {
  const { on = () => undefined, attempt = 0 } = options;
  const { client, settings } = kubelet;
  const call = callOptions(options.signal);
  const imageId = await ensureImage(kubelet, running, container, options);
  await makeContainerFiles(settings, running.pod, { container, attempt });
  const { containerId: id } = await client.runtime.createContainer(
    {
      podSandboxId: running.sandboxId,
      config: containerConfig(settings, running.pod, { container, attempt, imageId }),
      sandboxConfig: sandboxConfig(settings, running.pod, running.sandboxAttempt),
    },
    call,
  );
  on({ stage: 'created', container: container.name, containerId: id });
  await client.runtime.startContainer({ containerId: id }, call);
  on({ stage: 'started', container: container.name, containerId: id });
  const status = await containerStatus(kubelet, id, options.signal);
  return { name: container.name, id, attempt, imageId, logPath: status.logPath };
}

/** Stops a pod's containers within the grace period, then its sandbox, and removes everything, as the kubelet deletes a pod. Answers the containers' last statuses. */
export async function deletePod(
  kubelet: Kubelet,
  running: RunningPod,
  options: { readonly graceSeconds?: number; readonly signal?: AbortSignal } = {},
): Promise<ContainerStatus[]> {
  const { runtime } = kubelet.client;
  const call = callOptions(options.signal);
  const grace = Math.max(2, options.graceSeconds ?? running.pod.terminationGracePeriodSeconds);
  const stopOptions = { ...call, timeoutMs: deadlineMs.usual + grace * 1_000 };
  await Promise.all(
    running.containers.map(async ({ id }) => runtime.stopContainer({ containerId: id, timeout: BigInt(grace) }, stopOptions)),
  );
  await runtime.stopPodSandbox({ podSandboxId: running.sandboxId }, call);
  const statuses = await Promise.all(running.containers.map(async ({ id }) => containerStatus(kubelet, id, options.signal)));
  for (const { id, state, logPath } of statuses) {
    if (state !== stateNumbers.EXITED)
      throw new Error(`container ${id} is not EXITED after StopContainer: a kubelet calls this a CRI violation`);
    await removeLogs(logPath);
    await runtime.removeContainer({ containerId: id }, call);
    await expectNotFound(runtime.containerStatus({ containerId: id }, call), `container ${id}`);
  }
  await runtime.stopPodSandbox({ podSandboxId: running.sandboxId }, call);
  await runtime.removePodSandbox({ podSandboxId: running.sandboxId }, call);
  await expectNotFound(runtime.podSandboxStatus({ podSandboxId: running.sandboxId }, call), `sandbox ${running.sandboxId}`);
  await removePodCgroup(podCgroup(kubelet.settings, running.pod));
  await removePodFiles(kubelet.settings, running.pod);
  return statuses;
}

/** CRI's container states by number. */
export const stateNumbers = { CREATED: 0, RUNNING: 1, EXITED: 2, UNKNOWN: 3 } as const;

/** ContainerStatus with a kubelet's checks. Throws when it would reject the answer. */
export async function containerStatus(kubelet: Kubelet, id: string, signal?: AbortSignal): Promise<ContainerStatus> {
  const { status } = await kubelet.client.runtime.containerStatus({ containerId: id }, callOptions(signal));
  if (!status) throw new Error(`ContainerStatus of ${id} answers nothing`);
  const missing = [
    ['id', status.id === id],
    ['metadata.name', status.metadata?.name],
    ['created_at', status.createdAt > 0n],
    ['image.image', status.image?.image],
    ['image_ref', status.imageRef],
    ['log_path (absolute)', status.logPath.startsWith('/')],
  ].filter(([, present]) => !present);
  if (missing.length > 0) throw new Error(`ContainerStatus of ${id} lacks ${missing.map(([name]) => String(name)).join(', ')}`);
  return status;
}

async function requireReady({ client }: Kubelet, { on, signal }: RunOptions): Promise<void> {
  const version = await client.runtime.version({ version: '0.1.0' }, callOptions(signal));
  if (version.version !== '0.1.0') throw new Error(`a kubelet accepts only version 0.1.0, not ${JSON.stringify(version.version)}`);
  on?.({ stage: 'runtime', name: version.runtimeName, version: version.runtimeVersion });
  const { status } = await client.runtime.status({}, callOptions(signal));
  for (const type of ['RuntimeReady', 'NetworkReady']) {
    const condition = status?.conditions.find((one) => one.type === type);
    if (!condition?.status) throw new Error(`${type} is false: ${condition?.reason ?? 'not reported'}: ${condition?.message ?? ''}`);
  }
}

async function ensureImage(kubelet: Kubelet, running: RunningPod, container: PodContainer, options: RunOptions): Promise<string> {
  const { image: images } = kubelet.client;
  const { on = () => undefined, signal } = options;
  const { image: name, imagePullPolicy } = container;
  const spec = { image: name, annotations: podAnnotations(running.pod) };
  const before = (await images.imageStatus({ image: spec }, callOptions(signal))).image;
  if (before && imagePullPolicy !== 'Always') on({ stage: 'image present', image: name });
  else if (imagePullPolicy === 'Never') throw new Error(`image ${name} is not present and its pull policy is Never`);
  else {
    on({ stage: 'pulling', image: name });
    const config = sandboxConfig(kubelet.settings, running.pod, running.sandboxAttempt);
    await images.pullImage({ image: spec, sandboxConfig: config }, signal ? { signal } : {});
    const pulled = (await images.imageStatus({ image: spec }, callOptions(signal))).image;
    on({ stage: 'pulled', image: name, sizeBytes: Number(pulled?.size ?? 0n) });
  }
  const present = (await images.imageStatus({ image: { image: name } }, callOptions(signal))).image;
  if (!present || present.id === '' || present.size === 0n) throw new Error(`ImageStatus of ${name} lacks id or size`);
  return present.id;
}

function checkSandbox(status: SandboxStatus | undefined, pod: Pod): SandboxStatus {
  const complete = status && status.id !== '' && status.metadata?.uid === pod.uid && status.createdAt > 0n;
  if (!complete) throw new Error('PodSandboxStatus lacks id, metadata or created_at');
  if (status.state !== 0) throw new Error(`sandbox ${status.id} is not READY`);
  if (!pod.hostNetwork && !status.network?.ip) throw new Error(`sandbox ${status.id} has no IP: a kubelet makes sandboxes for ever`);
  return status;
}

async function expectNotFound(call: Promise<unknown>, what: string): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return;
    throw error;
  }
  throw new Error(`${what} is still there after its removal`);
}

function callOptions(signal: AbortSignal | undefined): { timeoutMs: number; signal?: AbortSignal } {
  return { timeoutMs: deadlineMs.usual, ...(signal ? { signal } : {}) };
}
