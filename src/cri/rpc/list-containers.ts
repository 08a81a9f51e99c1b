import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { containerToProto } from '../container-answer.ts';
import { filterContainers, filterFields } from '../filters.ts';
import { rpc } from '../table.ts';

/** Lists containers in every state, from memory. */
export const listContainers = rpc(RuntimeService.method.listContainers, filterFields, (request, { pods }) => ({
  containers: filterContainers(pods.containers(), request.filter).map(containerToProto),
}));
