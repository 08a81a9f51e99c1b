import type { PodsContext } from './context.ts';
import { dropConsole } from './console.ts';
import { removeFiles } from './create-container.ts';
import { dropReports } from './reports.ts';
import { stopNowLocked } from './stop-container.ts';

/** RemoveContainer: destroys what runs, removes domain, disk and record; the CRI log is the kubelet's. */
export async function removeContainer(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  const sandboxId = context.store.containers.get(id)?.sandboxId;
  if (sandboxId === undefined) return;
  using _lock = await context.locks.lock(sandboxId, signal);
  await removeContainerLocked(context, id, signal);
}

/** The same with the sandbox's lock held. The record goes last: what was cut short is still listed, and asked for again. */
export async function removeContainerLocked(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  const { store, hypervisor, network, cgroups, images, log } = context;
  const container = store.containers.get(id);
  if (!container) return;
  const parent = store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
  await stopNowLocked(context, id, 'the container was removed', signal);
  await hypervisor.destroy(container.vm.domainName, signal);
  await hypervisor.undefine(container.vm.domainName, signal);
  dropReports(context, id);
  await dropConsole(context, id);
  await network.removeTap(container.sandboxId, container.vm.tap, signal);
  await cgroups.removeLeaf(parent, id);
  await removeFiles(context, id);
  await store.removeContainer(id);
  images.release(container.imageId, id);
  log.info({ containerId: id }, 'container removed');
}
