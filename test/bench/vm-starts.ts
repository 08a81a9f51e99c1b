import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { containerConfig, sandboxConfig, type Pod } from '../kubelet/kubelet.ts';
import { makeContainerFiles, makePodFiles } from '../kubelet/node-files.ts';
import type { NodeOptions, TestNode } from '../node/node.ts';
import { nodeOptions } from '../scale/node.ts';

/** Options of a node whose daemon is what `npm run build` made, as it is installed; from its sources where there is none. */
export function builtDaemon(): Pick<NodeOptions, 'daemon'> {
  return existsSync(built) ? { daemon: { program: built, env: () => ({ NODE_OPTIONS: nodeOptions }) } } : {};
}

const built = join(import.meta.dirname, '..', '..', 'dist', 'main.js');

/** Makes an image present and answers its id. */
export async function pullImage(node: TestNode, image: string, signal: AbortSignal): Promise<string> {
  const { imageRef } = await node.kubelet.client.image.pullImage({ image: { image } }, { signal });
  return imageRef;
}

/** What a kubelet makes before its first call for a pod. */
export async function makeFiles(node: TestNode, pod: Pod): Promise<void> {
  await makePodFiles(node.kubelet.settings, pod);
  for (const container of pod.containers) await makeContainerFiles(node.kubelet.settings, pod, { container, attempt: 0 });
}

/** RunPodSandbox for a pod; answers the sandbox's id. */
export async function runSandbox(node: TestNode, pod: Pod, signal: AbortSignal): Promise<string> {
  const { client, settings } = node.kubelet;
  const config = sandboxConfig(settings, pod, 0);
  const { podSandboxId } = await client.runtime.runPodSandbox({ config, runtimeHandler: pod.runtimeHandler }, { signal });
  return podSandboxId;
}

/** CreateContainer for the pod's container; answers its id. */
export async function createVm(
  node: TestNode,
  pod: Pod,
  made: { readonly sandboxId: string; readonly imageId: string; readonly attempt?: number },
  signal: AbortSignal,
): Promise<string> {
  const { client, settings } = node.kubelet;
  const [container] = pod.containers;
  if (!container) throw new Error('the pod has no container');
  const config = containerConfig(settings, pod, { container, attempt: made.attempt ?? 0, imageId: made.imageId });
  const request = { podSandboxId: made.sandboxId, config, sandboxConfig: sandboxConfig(settings, pod, 0) };
  const { containerId } = await client.runtime.createContainer(request, { signal });
  return containerId;
}

/** Stops and removes a sandbox and what is in it. */
export async function removeSandbox(node: TestNode, podSandboxId: string): Promise<void> {
  const { runtime } = node.kubelet.client;
  await runtime.stopPodSandbox({ podSandboxId });
  await runtime.removePodSandbox({ podSandboxId });
}

/** How long something took, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What two sides measured, one sample a round each, in the same order. */
export interface Samples<T> {
  readonly one: readonly T[];
  readonly other: readonly T[];
}

/** Measures two sides in turn; each is the first in every other round. What is measured in the warm-up rounds is thrown away. */
export async function interleaved<T>(
  { warmUps, rounds }: { readonly warmUps: number; readonly rounds: number },
  one: () => Promise<T>,
  other: () => Promise<T>,
): Promise<Samples<T>> {
  const samples = { one: [] as T[], other: [] as T[] };
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? (['one', 'other'] as const) : (['other', 'one'] as const)) {
      const sample = await (side === 'one' ? one : other)();
      if (round >= 0) samples[side].push(sample);
    }
  }
  return samples;
}
