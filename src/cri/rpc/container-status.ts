import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { containerStatusToProto } from '../container-answer.ts';
import { rpc } from '../table.ts';
import { verboseInfo } from '../verbose.ts';

/** Tells everything about one container. */
export const containerStatus = rpc(
  RuntimeService.method.containerStatus,
  { container_id: 'honoured', verbose: 'honoured' },
  (request, { pods }) => {
    const container = pods.container(request.containerId);
    return { status: containerStatusToProto(container), info: verboseInfo(request.verbose, () => container) };
  },
);
