import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Starts a VM; does not wait for its guest to boot. */
export const startContainer = rpc(
  RuntimeService.method.startContainer,
  { container_id: 'honoured' },
  async (request, { pods }, { signal }) => {
    await pods.startContainer(request.containerId, signal);
    return {};
  },
);
