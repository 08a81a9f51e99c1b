import type { Rpc } from '../table.ts';
import { containerStats, listContainerStats, streamContainerStats } from './container-stats.ts';
import { containerStatus } from './container-status.ts';
import { createContainer } from './create-container.ts';
import { getContainerEvents } from './get-container-events.ts';
import { imageFsInfo } from './image-fs-info.ts';
import { imageStatus } from './image-status.ts';
import { listContainers, streamContainers } from './list-containers.ts';
import { listImages, streamImages } from './list-images.ts';
import { listPodSandbox, streamPodSandboxes } from './list-pod-sandbox.ts';
import { listMetricDescriptors, listPodSandboxMetrics, streamPodSandboxMetrics } from './pod-sandbox-metrics.ts';
import { listPodSandboxStats, podSandboxStats, streamPodSandboxStats } from './pod-sandbox-stats.ts';
import { podSandboxStatus } from './pod-sandbox-status.ts';
import { pullImage } from './pull-image.ts';
import { removeContainer } from './remove-container.ts';
import { removeImage } from './remove-image.ts';
import { removePodSandbox } from './remove-pod-sandbox.ts';
import { reopenContainerLog } from './reopen-container-log.ts';
import { runPodSandbox } from './run-pod-sandbox.ts';
import { runtimeConfig } from './runtime-config.ts';
import { startContainer } from './start-container.ts';
import { status } from './status.ts';
import { stopContainer } from './stop-container.ts';
import { stopPodSandbox } from './stop-pod-sandbox.ts';
import { updateContainerResources } from './update-container-resources.ts';
import { updatePodSandboxResources } from './update-pod-sandbox-resources.ts';
import { updateRuntimeConfig } from './update-runtime-config.ts';
import { version } from './version.ts';

/** Every method that is built, in the order of docs/cri-support.md. */
export const builtRpcs: readonly Rpc[] = [
  version,
  status,
  runtimeConfig,
  updateRuntimeConfig,
  runPodSandbox,
  stopPodSandbox,
  removePodSandbox,
  podSandboxStatus,
  listPodSandbox,
  streamPodSandboxes,
  updatePodSandboxResources,
  createContainer,
  startContainer,
  stopContainer,
  removeContainer,
  listContainers,
  streamContainers,
  containerStatus,
  updateContainerResources,
  reopenContainerLog,
  getContainerEvents,
  containerStats,
  listContainerStats,
  streamContainerStats,
  podSandboxStats,
  listPodSandboxStats,
  streamPodSandboxStats,
  listMetricDescriptors,
  listPodSandboxMetrics,
  streamPodSandboxMetrics,
  listImages,
  streamImages,
  imageStatus,
  pullImage,
  removeImage,
  imageFsInfo,
];
