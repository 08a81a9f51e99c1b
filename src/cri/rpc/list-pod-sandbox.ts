import { PodSandboxSchema, RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import type { Sandbox } from '../../model/sandbox.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { filterFields, filterSandboxes } from '../filters.ts';
import { sandboxToProto } from '../sandbox-answer.ts';
import { encodedRpc, encodedStreamRpc } from '../table.ts';

const { listPodSandbox: list, streamPodSandboxes: stream } = RuntimeService.method;
const items = makeEncodedItems<typeof PodSandboxSchema, Sandbox>([list, stream], PodSandboxSchema, sandboxToProto);

/** Lists sandboxes, READY and NOTREADY, from memory. */
export const listPodSandbox = encodedRpc(list, filterFields, (request, { pods }) =>
  items.join(filterSandboxes(pods.sandboxes(), request.filter)),
);

/** The same list in pieces. */
export const streamPodSandboxes = encodedStreamRpc(stream, filterFields, (request, { pods }) =>
  items.chunks(filterSandboxes(pods.sandboxes(), request.filter)),
);
