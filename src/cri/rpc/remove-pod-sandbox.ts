import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Stops and forgets a sandbox with its containers. */
export const removePodSandbox = rpc(
  RuntimeService.method.removePodSandbox,
  { pod_sandbox_id: 'honoured' },
  async (request, { pods }, { signal }) => {
    await pods.removeSandbox(request.podSandboxId, signal);
    return {};
  },
);
