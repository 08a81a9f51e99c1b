import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { sandboxConfigFields, sandboxConfigFromProto } from '../sandbox-request.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Makes a sandbox with its network. */
export const runPodSandbox = rpc(
  RuntimeService.method.runPodSandbox,
  { ...below('config', sandboxConfigFields), runtime_handler: 'honoured' },
  async (request, { pods }, { signal }) => ({
    podSandboxId: await pods.runSandbox(sandboxConfigFromProto(request.config, request.runtimeHandler), signal),
  }),
);
