import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { sandboxStatusToProto } from '../sandbox-answer.ts';
import { rpc } from '../table.ts';
import { verboseInfo } from '../verbose.ts';

/**
 * Tells state and addresses of a sandbox. `timestamp` stays 0 and `containers_statuses` empty: a kubelet that sees a timestamp takes
 * the embedded list for the whole truth.
 */
export const podSandboxStatus = rpc(
  RuntimeService.method.podSandboxStatus,
  { pod_sandbox_id: 'honoured', verbose: 'honoured' },
  (request, { pods }) => {
    const sandbox = pods.sandbox(request.podSandboxId);
    return { status: sandboxStatusToProto(sandbox), info: verboseInfo(request.verbose, () => sandbox) };
  },
);
