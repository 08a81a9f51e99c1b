import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { rpc } from '../table.ts';

/** Kills what runs in a sandbox and releases its network. */
export const stopPodSandbox = rpc(
  RuntimeService.method.stopPodSandbox,
  { pod_sandbox_id: 'honoured' },
  async (request, { pods }, { signal }) => {
    await pods.stopSandbox(request.podSandboxId, signal);
    return {};
  },
);
