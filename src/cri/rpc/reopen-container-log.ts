import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Opens a log anew after the kubelet has renamed it. */
export const reopenContainerLog = rpc(
  RuntimeService.method.reopenContainerLog,
  { container_id: 'honoured' },
  async (request, { pods }, { signal }) => {
    await pods.reopenLog(request.containerId, signal);
    return {};
  },
);
