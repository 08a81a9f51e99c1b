import { ContainerSchema, RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import type { Container } from '../../model/container.ts';
import { containerToProto } from '../container-answer.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { filterContainers, filterFields } from '../filters.ts';
import { encodedRpc, encodedStreamRpc } from '../table.ts';

const { listContainers: list, streamContainers: stream } = RuntimeService.method;
const items = makeEncodedItems<typeof ContainerSchema, Container>([list, stream], ContainerSchema, containerToProto);

/** Lists containers in every state, from memory. */
export const listContainers = encodedRpc(list, filterFields, (request, { pods }) =>
  items.join(filterContainers(pods.containers(), request.filter)),
);

/** The same list in pieces. */
export const streamContainers = encodedStreamRpc(stream, filterFields, (request, { pods }) =>
  items.chunks(filterContainers(pods.containers(), request.filter)),
);
