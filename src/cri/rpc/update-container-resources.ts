import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { containerResourcesFields, resourcesFromProto } from '../resources.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Changes what a VM may use while it runs: CPU shares, quota and cpuset; what is fixed at creation is refused. */
export const updateContainerResources = rpc(
  RuntimeService.method.updateContainerResources,
  {
    container_id: 'honoured',
    ...below('linux', {
      ...containerResourcesFields,
      memory_limit_in_bytes: { refused: 'another limit than now: memory is fixed when a VM is created' },
      oom_score_adj: { ignored: 'echoed in ContainerStatus; counts when the VM is started' },
    }),
    annotations: { ignored: 'none changes a VM that is there' },
  },
  async ({ containerId, linux }, { pods }, { signal }) => {
    if (linux) await pods.updateContainerResources(containerId, resourcesFromProto('linux', linux), signal);
    else pods.container(containerId);
    return {};
  },
);
