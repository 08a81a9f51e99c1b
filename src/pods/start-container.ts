import { makeCleanupStack, type CleanupStack } from '../lib/cleanup-stack.ts';
import { messageOf } from '../lib/errno.ts';
import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/sandbox.ts';
import { requireStartable } from './admission.ts';
import { parseAnnotations } from './annotations.ts';
import { followConsole, finishConsole } from './console.ts';
import type { PodsContext } from './context.ts';
import { requireHypervisor } from './create-container.ts';
import { startFailed } from './exit.ts';
import { sizeVm } from './sizing.ts';

/**
 * StartContainer: tap, paused start, cgroup, network, resume. The order matters: the pid moves before guest memory is touched, and the
 * tap can only be handed over in the host's namespace. A failure makes the container EXITED (128, StartError).
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
  const { domainName, tap, uid } = container.vm;
  const parent = sandbox.config.cgroupParent;
  undo.add('undefine the domain', async (fresh) => hypervisor.undefine(domainName, fresh));

  undo.add('remove the cgroup', async () => cgroups.removeLeaf(parent, container.id));
  undo.add('remove the tap', async (fresh) => network.removeTap(sandbox.id, tap, fresh));
  undo.add('close the log', async () => finishConsole(context, container.id));
  await Promise.all([
    network.makeTap(tap, uid, signal),
    cgroups.makeLeaf(parent, container.id, leafLimits(context, sandbox, container)),
    followConsole(context, container, signal),
  ]);

  undo.add('destroy the VM', async (fresh) => hypervisor.destroy(domainName, fresh));
  const { pid, vcpuTids } = await hypervisor.startPaused(domainName, signal);
  await Promise.all([
    cgroups.addMembers(parent, container.id, { pids: [pid], vcpuTids }), //
    network.joinTap(sandbox.id, tap, signal),
  ]);
  await hypervisor.resume(domainName, signal);
}

function leafLimits(context: PodsContext, sandbox: Sandbox, container: Container): Parameters<PodsContext['cgroups']['makeLeaf']>[2] {
  const annotations = parseAnnotations(sandbox.config.annotations);
  const size = sizeVm(container.config.resources, sandbox.config.overhead, annotations, context.options.sizing());
  return {
    ...(size.leafMemoryBytes === undefined ? {} : { memoryLimitBytes: size.leafMemoryBytes }),
    ...(size.cpuQuotaUs === undefined ? {} : { cpuQuotaUs: size.cpuQuotaUs }),
    ...(size.cpuPeriodUs === undefined ? {} : { cpuPeriodUs: size.cpuPeriodUs }),
    ...(size.cpuShares === undefined ? {} : { cpuShares: size.cpuShares }),
  };
}
