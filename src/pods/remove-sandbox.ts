import { mayRun } from '../model/container.ts';
import type { PodsContext } from './context.ts';
import { removeContainerLocked } from './remove-container.ts';
import { stopNowLocked } from './stop-container.ts';

/** StopPodSandbox: the VM dies, then the network is released. NOTREADY is on disk before anything is undone. */
export async function stopSandbox(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  using _lock = await context.locks.lock(id, signal);
  await stopSandboxLocked(context, id, signal);
}

/** RemovePodSandbox: stops what runs, removes the containers, and the sandbox's record last. */
export async function removeSandbox(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  using _lock = await context.locks.lock(id, signal);
  if (!context.store.sandboxes.get(id)) return;
  await stopSandboxLocked(context, id, signal);
  for (const container of context.store.containersOf(id)) await removeContainerLocked(context, container.id, signal);
  await context.store.sandboxes.remove(id);
  context.log.info({ sandboxId: id }, 'sandbox removed');
}

async function stopSandboxLocked(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  const { store, network, log } = context;
  const sandbox = store.sandboxes.get(id);
  if (!sandbox) return;
  if (sandbox.state === 'READY') await store.sandboxes.put(id, { ...sandbox, state: 'NOTREADY' });
  for (const container of store.containersOf(id)) {
    if (mayRun(container.state)) await stopNowLocked(context, container.id, 'the sandbox was stopped', signal);
  }
  await network.detach(id, signal);
  if (sandbox.state === 'READY') log.info({ sandboxId: id }, 'sandbox stopped');
}
