import { setTimeout as delay } from 'node:timers/promises';
import { containerStatus, stateNumbers, type ContainerStatus, type Kubelet } from './play.ts';

export { containerConfig } from './container-config.ts';
export { joinLines, parseLog, readLog } from './cri-log.ts';
export { podFromManifest } from './manifest.ts';
export { foreignCgroups, removeCgroupTree } from './pod-cgroup.ts';
export { containerStatus, deletePod, runPod, startContainer, startSandbox, stateNumbers } from './play.ts';
export type { ContainerStatus, Kubelet, Progress, RunningContainer, RunningPod } from './play.ts';
export type { Pod } from './pod.ts';
export { podCgroup, sandboxConfig } from './sandbox-config.ts';
export { nodeSettings, type KubeletSettings } from './settings.ts';

/** Asks ContainerStatus twice a second, like an eager relist, until the container has the state. Throws with the last state after `timeoutMs`. */
export async function waitForState(
  kubelet: Kubelet,
  containerId: string,
  state: keyof typeof stateNumbers,
  timeoutMs: number,
): Promise<ContainerStatus> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const status = await containerStatus(kubelet, containerId);
    if (status.state === stateNumbers[state]) return status;
    if (performance.now() > end)
      throw new Error(`container ${containerId} is in state ${status.state}, not ${state}, after ${timeoutMs} ms`);
    await delay(100);
  }
}

/** Stops and removes every sandbox with its containers, as a kubelet does with pods that it does not know. */
export async function removeAllPods({ client: { runtime } }: Kubelet): Promise<void> {
  const { items } = await runtime.listPodSandbox({}, { timeoutMs: 30_000 });
  for (const { id } of items) {
    await runtime.stopPodSandbox({ podSandboxId: id }, { timeoutMs: 60_000 });
    await runtime.removePodSandbox({ podSandboxId: id }, { timeoutMs: 60_000 });
  }
}
