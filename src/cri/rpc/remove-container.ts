import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Destroys and forgets a VM; its log stays. */
export const removeContainer = rpc(
  RuntimeService.method.removeContainer,
  { container_id: 'honoured' },
  async (request, { pods }, { signal }) => {
    await pods.removeContainer(request.containerId, signal);
    return {};
  },
);
