import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  ContainerState as ProtoState,
  Signal,
  type ContainerSchema,
  type ContainerStatusSchema,
  type ImageSpecSchema,
} from '../gen/runtime/v1/api_pb.js';
import type { Container, ContainerState } from '../model/container.ts';
import { mountToProto } from './mounts.ts';
import { resourcesToProto } from './resources.ts';

const states: Readonly<Record<ContainerState, ProtoState>> = {
  CREATING: ProtoState.CONTAINER_UNKNOWN, // never shown
  CREATED: ProtoState.CONTAINER_CREATED,
  RUNNING: ProtoState.CONTAINER_RUNNING,
  EXITED: ProtoState.CONTAINER_EXITED,
  UNKNOWN: ProtoState.CONTAINER_UNKNOWN,
};

/** CRI's state of a container. */
export function containerStateToProto({ state }: Pick<Container, 'state'>): ProtoState {
  return states[state];
}

/** A container in a list. */
export function containerToProto(container: Container): MessageInitShape<typeof ContainerSchema> {
  const { id, sandboxId, config, imageRef, imageId, createdAtNs } = container;
  return {
    id,
    podSandboxId: sandboxId,
    metadata: { name: config.name, attempt: config.attempt },
    image: imageSpecOf(container),
    imageRef,
    imageId,
    state: containerStateToProto(container),
    createdAt: createdAtNs,
    labels: config.labels,
    annotations: config.annotations,
  };
}

/** Everything about one container; times that have not come yet are 0. */
export function containerStatusToProto(container: Container): MessageInitShape<typeof ContainerStatusSchema> {
  const { id, config, createdAtNs, startedAtNs, exit, imageRef, imageId, logPath } = container;
  return {
    id,
    metadata: { name: config.name, attempt: config.attempt },
    state: containerStateToProto(container),
    createdAt: createdAtNs,
    startedAt: startedAtNs ?? 0n,
    finishedAt: exit?.finishedAtNs ?? 0n,
    exitCode: exit?.exitCode ?? 0,
    reason: exit?.reason ?? '',
    message: exit?.message ?? '',
    image: imageSpecOf(container),
    imageRef,
    imageId,
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts.map(mountToProto),
    logPath,
    ...(config.resources ? { resources: { linux: resourcesToProto(config.resources) } } : {}),
    stopSignal: config.stopSignal === Signal.RUNTIME_DEFAULT ? Signal.SIGTERM : config.stopSignal,
  };
}

/** Users see `image`: what the pod's author wrote, where it is known. */
function imageSpecOf({ config: { image, userSpecifiedImage } }: Container): MessageInitShape<typeof ImageSpecSchema> {
  return { image: userSpecifiedImage || image, userSpecifiedImage };
}
