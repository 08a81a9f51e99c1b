import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { containerConfigFields, containerConfigFromProto } from '../container-request.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Prepares a VM; no guest code runs. */
export const createContainer = rpc(
  RuntimeService.method.createContainer,
  {
    pod_sandbox_id: 'honoured',
    ...below('config', containerConfigFields),
    sandbox_config: { ignored: 'what RunPodSandbox was given holds' },
  },
  async (request, { pods }, { signal }) => {
    const sandbox = pods.sandbox(request.podSandboxId);
    const config = containerConfigFromProto(request.config, sandbox.config.metadata.uid);
    return { containerId: await pods.createContainer(sandbox.id, config, signal) };
  },
);
