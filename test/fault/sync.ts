import type { MessageShape } from '@bufbuild/protobuf';
import type { ContainerSchema, PodSandboxSchema } from '../../src/gen/runtime/v1/api_pb.js';
import {
  containerStatus,
  startContainer,
  startSandbox,
  stateNumbers,
  type ContainerStatus,
  type Kubelet,
  type Pod,
  type RunningContainer,
  type RunningPod,
} from '../kubelet/kubelet.ts';

type PodSandbox = MessageShape<typeof PodSandboxSchema>;
type Container = MessageShape<typeof ContainerSchema>;

/**
 * What a kubelet does at a sync of a pod that is to run, whatever an earlier one has left: the newest sandbox is used if it is READY, else
 * stopped, and the next attempt made; a VM that runs is left alone, one in any other state (a CREATED one too) is replaced by the next
 * attempt; then dead containers and sandboxes are removed.
 */
export async function syncPod(kubelet: Kubelet, pod: Pod): Promise<RunningPod & { readonly vm: RunningContainer }> {
  const [newest] = await sandboxesOf(kubelet, pod);
  const running = newest?.state === 0 ? await adopt(kubelet, pod, newest) : await nextSandbox(kubelet, pod, newest);
  const vm = await syncVm(kubelet, running);
  await collectGarbage(kubelet, pod, running.sandboxId, vm.id);
  return { ...running, containers: [vm], vm };
}

/** What a kubelet does with a pod that is to go, until nothing of it is left. Answers the last statuses of its containers. */
export async function endPod(kubelet: Kubelet, pod: Pod, graceSeconds = 0): Promise<ContainerStatus[]> {
  const { runtime } = kubelet.client;
  const containers = await containersOf(kubelet, pod);
  for (const { id, state } of containers)
    if (state === stateNumbers.RUNNING || state === stateNumbers.UNKNOWN) await stop(kubelet, id, graceSeconds);
  const sandboxes = await sandboxesOf(kubelet, pod);
  for (const { id } of sandboxes) await runtime.stopPodSandbox({ podSandboxId: id });
  const statuses = [];
  for (const { id } of containers) {
    statuses.push(await containerStatus(kubelet, id));
    await runtime.removeContainer({ containerId: id });
  }
  for (const { id } of sandboxes) await runtime.removePodSandbox({ podSandboxId: id });
  return statuses;
}

/** The pod's sandboxes, newest first. */
export async function sandboxesOf({ client }: Kubelet, pod: Pod): Promise<PodSandbox[]> {
  const { items } = await client.runtime.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.uid': pod.uid } } });
  return items.toSorted((a, b) => (a.createdAt > b.createdAt ? -1 : 1));
}

/** The pod's containers, newest first. */
export async function containersOf({ client }: Kubelet, pod: Pod): Promise<Container[]> {
  const { containers } = await client.runtime.listContainers({ filter: { labelSelector: { 'io.kubernetes.pod.uid': pod.uid } } });
  return containers.toSorted((a, b) => (a.createdAt > b.createdAt ? -1 : 1));
}

async function adopt({ client }: Kubelet, pod: Pod, { id, metadata }: PodSandbox): Promise<RunningPod> {
  const { status } = await client.runtime.podSandboxStatus({ podSandboxId: id });
  if (!status?.network?.ip) throw new Error(`sandbox ${id} is READY without an address`);
  return { pod, sandboxId: id, sandboxAttempt: metadata?.attempt ?? 0, ips: [status.network.ip], containers: [] };
}

async function nextSandbox(kubelet: Kubelet, pod: Pod, dead: PodSandbox | undefined): Promise<RunningPod> {
  if (dead) {
    for (const { id, state } of await containersOf(kubelet, pod)) {
      if (state === stateNumbers.RUNNING || state === stateNumbers.UNKNOWN) await stop(kubelet, id);
    }
    await kubelet.client.runtime.stopPodSandbox({ podSandboxId: dead.id });
  }
  return startSandbox(kubelet, pod, { sandboxAttempt: dead ? (dead.metadata?.attempt ?? 0) + 1 : 0 });
}

async function syncVm(kubelet: Kubelet, running: RunningPod): Promise<RunningContainer> {
  const [spec] = running.pod.containers;
  if (!spec) throw new Error('the pod has no container');
  const [newest] = await containersOf(kubelet, running.pod);
  if (newest?.state === stateNumbers.RUNNING && newest.podSandboxId === running.sandboxId) {
    const { logPath } = await containerStatus(kubelet, newest.id);
    return { name: spec.name, id: newest.id, attempt: newest.metadata?.attempt ?? 0, imageId: newest.imageId, logPath };
  }
  if (newest?.state === stateNumbers.UNKNOWN) await stop(kubelet, newest.id);
  return startContainer(kubelet, running, spec, { attempt: newest ? (newest.metadata?.attempt ?? 0) + 1 : 0 });
}

async function collectGarbage(kubelet: Kubelet, pod: Pod, liveSandbox: string, liveContainer: string): Promise<void> {
  const { runtime } = kubelet.client;
  for (const { id } of await containersOf(kubelet, pod)) if (id !== liveContainer) await runtime.removeContainer({ containerId: id });
  for (const { id } of await sandboxesOf(kubelet, pod)) {
    if (id === liveSandbox) continue;
    await runtime.stopPodSandbox({ podSandboxId: id });
    await runtime.removePodSandbox({ podSandboxId: id });
  }
}

async function stop(kubelet: Kubelet, id: string, graceSeconds = 0): Promise<void> {
  await kubelet.client.runtime.stopContainer({ containerId: id, timeout: BigInt(graceSeconds) });
  const { state } = await containerStatus(kubelet, id);
  if (state !== stateNumbers.EXITED)
    throw new Error(`container ${id} is not EXITED after StopContainer: a kubelet calls this a CRI violation`);
}
