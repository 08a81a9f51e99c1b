import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { JsonObject } from '@bufbuild/protobuf';
import { makePodCgroup, removePodCgroup } from '../kubelet/pod-cgroup.ts';
import { textAt } from './json.ts';

/** What a kubelet does on the node around its calls. Requests are translated already. */
export interface PodFiles {
  /** To be called before a call is made. */
  readonly before: (method: string, request: JsonObject) => Promise<void>;
  /** To be called when it has succeeded. */
  readonly after: (method: string, request: JsonObject, answer: JsonObject) => Promise<void>;
}

/** Makes pod cgroups, log directories and termination logs, and removes cgroups; a cgroup with something in it cannot be removed and throws. */
export function makePodFiles(): PodFiles {
  const cgroups = new Map<string, string>();
  return {
    before: async (method, request) => {
      if (method === 'RunPodSandbox') {
        const cgroup = textAt(request, 'config.linux.cgroup_parent');
        if (cgroup !== '') await makePodCgroup(cgroup);
      }
      if (method === 'CreateContainer') await makeContainerFiles(request);
    },
    after: async (method, request, answer) => {
      if (method === 'RunPodSandbox') cgroups.set(textAt(answer, 'pod_sandbox_id'), textAt(request, 'config.linux.cgroup_parent'));
      if (method !== 'RemovePodSandbox') return;
      const cgroup = cgroups.get(textAt(request, 'pod_sandbox_id')) ?? '';
      if (cgroup !== '') await removePodCgroup(cgroup);
    },
  };
}

async function makeContainerFiles(request: JsonObject): Promise<void> {
  const log = join(textAt(request, 'sandbox_config.log_directory'), textAt(request, 'config.log_path'));
  const terminationLog = textAt(request, 'config.mounts[container_path=/dev/termination-log].host_path');
  for (const file of [log, terminationLog]) await mkdir(dirname(file), { recursive: true });
  await writeFile(terminationLog, '', { mode: 0o666 });
}
