import { messageOf } from '../lib/errno.ts';
import { VmletError } from '../model/errors.ts';
import type { LinuxResources } from '../model/sandbox.ts';
import type { PodsContext } from './context.ts';
import { leafLimits } from './limits.ts';
import { withResources } from './resource-change.ts';

/** What UpdatePodSandboxResources brings; what is absent stays. */
export interface SandboxResources {
  readonly overhead?: LinuxResources;
  readonly resources?: LinuxResources;
}

/** UpdatePodSandboxResources: kept for the VMs to come. The kubelet itself changes the pod's cgroup. */
export async function updateSandboxResources(
  context: PodsContext,
  id: string,
  change: SandboxResources,
  signal: AbortSignal,
): Promise<void> {
  const { store, locks } = context;
  const sandboxId = store.sandbox(id).id;
  using _lock = await locks.lock(sandboxId, signal);
  const sandbox = store.sandbox(sandboxId);
  await store.sandboxes.put(sandboxId, { ...sandbox, config: { ...sandbox.config, ...change } });
}

/**
 * UpdateContainerResources, all or nothing: CPU shares, quota and cpuset of a running VM change at once, then the record. A cgroup that
 * refuses has the old limits again.
 */
export async function updateContainerResources(
  context: PodsContext,
  id: string,
  change: LinuxResources,
  signal: AbortSignal,
): Promise<void> {
  const { store, locks, cgroups } = context;
  const { id: containerId, sandboxId } = store.container(id);
  using _lock = await locks.lock(sandboxId, signal);
  const container = store.container(containerId);
  if (container.state !== 'CREATED' && container.state !== 'RUNNING') {
    const facts = { code: 'WRONG_STATE', kind: 'container', id: containerId, state: container.state } as const;
    throw new VmletError(facts, `container ${containerId} is ${container.state}; only a CREATED or RUNNING one can be changed`);
  }
  const sandbox = store.sandbox(sandboxId);
  const changed = withResources(sandbox, container, change);
  const { cgroupParent } = sandbox.config;
  if (container.state === 'CREATED') return await store.putContainer(changed);
  try {
    await cgroups.applyLimits(cgroupParent, containerId, leafLimits(sandbox, changed));
    await store.putContainer(changed);
  } catch (error) {
    await cgroups.applyLimits(cgroupParent, containerId, leafLimits(sandbox, container)).catch((second: unknown) => {
      context.log.error({ containerId, error: messageOf(second) }, 'limits could not be put back');
    });
    throw error;
  }
}
