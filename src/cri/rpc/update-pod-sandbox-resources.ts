import { RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import { overheadFields, resourcesFromProto, sandboxResourcesFields } from '../resources.ts';
import { rpc } from '../table.ts';

/** Keeps a pod's new resources; the kubelet changes the pod's cgroup itself, and each VM by UpdateContainerResources. */
export const updatePodSandboxResources = rpc(
  RuntimeService.method.updatePodSandboxResources,
  { pod_sandbox_id: 'honoured', ...overheadFields, ...sandboxResourcesFields },
  async ({ podSandboxId, overhead, resources }, { pods }, { signal }) => {
    const change = {
      ...(overhead ? { overhead: resourcesFromProto('overhead', overhead) } : {}),
      ...(resources ? { resources: resourcesFromProto('resources', resources) } : {}),
    };
    await pods.updateSandboxResources(podSandboxId, change, signal);
    return {};
  },
);
