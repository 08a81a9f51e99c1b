import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { filterFields, filterSandboxes } from '../filters.ts';
import { sandboxToProto } from '../sandbox-answer.ts';
import { rpc } from '../table.ts';

/** Lists sandboxes, READY and NOTREADY, from memory. */
export const listPodSandbox = rpc(RuntimeService.method.listPodSandbox, filterFields, (request, { pods }) => ({
  items: filterSandboxes(pods.sandboxes(), request.filter).map(sandboxToProto),
}));
