import { create, toBinary } from '@bufbuild/protobuf';
import { ContainerEventResponseSchema, ContainerEventType, RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import type { ContainerEvent, ContainerEventKind } from '../../model/container-event.ts';
import { VmletError } from '../../model/errors.ts';
import { containerStatusToProto } from '../container-answer.ts';
import { makeEventQueue } from '../event-queue.ts';
import { sandboxStatusToProto } from '../sandbox-answer.ts';
import { encodedStreamRpc } from '../table.ts';

/** Most events that wait for one reader: a pod's life has 4. */
const maxWaiting = 1_000;

const types: Readonly<Record<ContainerEventKind, ContainerEventType>> = {
  created: ContainerEventType.CONTAINER_CREATED_EVENT,
  started: ContainerEventType.CONTAINER_STARTED_EVENT,
  stopped: ContainerEventType.CONTAINER_STOPPED_EVENT,
  deleted: ContainerEventType.CONTAINER_DELETED_EVENT,
};

/** Tells of changes of containers as they become durable. A reader that falls behind is cut off, so that it lists again. */
export const getContainerEvents = encodedStreamRpc(
  RuntimeService.method.getContainerEvents,
  {},
  async function* events(_request, { pods }, call) {
    const queue = makeEventQueue<ContainerEvent>(maxWaiting, () => {
      const facts = { code: 'TOO_SLOW', stream: 'GetContainerEvents' } as const;
      return new VmletError(facts, `more than ${maxWaiting} events were waiting to be read; list again`);
    });
    const unsubscribe = pods.onContainerEvent(queue.push);
    try {
      for await (const event of queue.read(call.signal)) yield encode(event);
    } finally {
      unsubscribe();
    }
  },
);

function encode({ kind, containerId, atNs, sandbox, containers }: ContainerEvent): Uint8Array {
  const message = create(ContainerEventResponseSchema, {
    containerId,
    containerEventType: types[kind],
    createdAt: atNs,
    ...(sandbox ? { podSandboxStatus: sandboxStatusToProto(sandbox) } : {}),
    containersStatuses: containers.map(containerStatusToProto),
  });
  return toBinary(ContainerEventResponseSchema, message);
}
