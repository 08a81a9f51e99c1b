import { makeCleanupStack, type CleanupStack } from '../lib/cleanup-stack.ts';
import { isErrno, messageOf } from '../lib/errno.ts';
import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/sandbox.ts';
import { requireStartable } from './admission.ts';
import { followConsole, finishConsole } from './console.ts';
import type { PodsContext } from './context.ts';
import { requireHypervisor } from './create-container.ts';
import { startFailed } from './exit.ts';
import { leafLimits } from './limits.ts';
import { dropReports, followReports } from './reports.ts';
import { queuesOf } from './vm-design.ts';

/**
 * StartContainer: taps, paused start, cgroup, network, resume. The order matters: the pid moves before guest memory is touched, and the
 * taps can only be handed over in the host's namespace. A failure makes the container EXITED (128, StartError).
 */
export async function startContainer(context: PodsContext, id: string, signal: AbortSignal): Promise<void> {
  const { store, log } = context;
  const { sandboxId } = store.container(id);
  using _lock = await context.locks.lock(sandboxId, signal);
  const container = store.container(id);
  const sandbox = store.sandbox(sandboxId);
  requireStartable(sandbox, store.containersOf(sandboxId), container);
  requireHypervisor(context);
  const undo = makeCleanupStack();
  try {
    await bringUp(context, sandbox, container, { undo, signal });
    const { bootId } = context.options;
    await store.putContainer({ ...container, state: 'RUNNING', startedAtNs: context.clock.nowNs(), bootId });
  } catch (error) {
    const failures = await undo.unwind();
    log.warn({ containerId: id, failures, error: messageOf(error) }, 'container could not be started');
    await store.putContainer({ ...container, state: 'EXITED', exit: startFailed(messageOf(error), context.clock.nowNs()) });
    throw error;
  }
  log.info({ sandboxId, containerId: id, domain: container.vm.domainName }, 'container started');
}

async function bringUp(
  context: PodsContext,
  sandbox: Sandbox,
  container: Container,
  run: { readonly undo: CleanupStack; readonly signal: AbortSignal },
): Promise<void> {
  const { hypervisor, network, cgroups } = context;
  const { undo, signal } = run;
  const { domainName, tap, uid, vcpus } = container.vm;
  const parent = sandbox.config.cgroupParent;
  undo.add('undefine the domain', async (fresh) => hypervisor.undefine(domainName, fresh));

  undo.add('remove the cgroup', async () => cgroups.removeLeaf(parent, container.id));
  undo.add('remove the tap', async (fresh) => network.removeTap(sandbox.id, tap, fresh));
  undo.add('close the log', async () => finishConsole(context, container.id));
  await Promise.all([
    network.makeTap({ tap, uid, queues: queuesOf(vcpus), interfaces: network.attachment(sandbox.id)?.interfaces ?? [] }, signal),
    cgroups.makeLeaf(parent, container.id, leafLimits(sandbox, container)),
    followConsole(context, container, signal),
  ]);

  undo.add('stop listening to the guest', () => dropReports(context, container.id));
  undo.add('destroy the VM', async (fresh) => hypervisor.destroy(domainName, fresh));
  const { pid, vcpuTids } = await hypervisor.startPaused(domainName, container.config.resources?.oomScoreAdj ?? 0, signal);
  await Promise.all([
    cgroups.addMembers(parent, container.id, { pids: [pid], vcpuTids }), //
    network.joinTap(sandbox.id, tap, signal),
  ]);
  await placeHelpers(context, container);
  followReports(context, container);
  await hypervisor.resume(domainName, signal);
}

/** Puts what serves a VM beside QEMU into its cgroup leaf: it is the pod's to pay for, and dies with it. */
export async function placeHelpers({ store, network, cgroups }: PodsContext, container: Container): Promise<void> {
  const parent = store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
  const pid = network.helperPid(container.sandboxId);
  if (pid === undefined) return;
  try {
    await cgroups.addMembers(parent, container.id, { pids: [pid], vcpuTids: [] });
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error; // it has died: whoever starts another places that one
  }
}
