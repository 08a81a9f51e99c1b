import { messageOf } from '../lib/errno.ts';
import { makeCleanupStack } from '../lib/cleanup-stack.ts';
import { mayRun, type Container } from '../model/container.ts';
import { finishConsole, followConsole } from './console.ts';
import type { PodsContext } from './context.ts';
import { exitOf, type EndFacts } from './exit.ts';
import { lastReport } from './reports.ts';
import { terminationLogOf } from './termination-log.ts';

/** What the caller knows of an end; the rest is looked up. */
export interface ObservedEnd {
  readonly cause: EndFacts['cause'];
  readonly destroyedBecause?: string;
  readonly atNs?: bigint;
}

/**
 * Records that a VM has ended, once: log drained, then EXITED on disk, then what only a running VM needs is removed. Called with the
 * sandbox's lock held; a container whose VM cannot run is left alone.
 */
export async function recordEndLocked(context: PodsContext, containerId: string, end: ObservedEnd): Promise<void> {
  const { store, log } = context;
  const container = store.containers.get(containerId);
  if (!container || !mayRun(container.state)) return;
  const facts = await gatherFacts(context, container, end);
  await passOnMessage(context, container, facts);
  await drainConsole(context, container);
  const exit = exitOf(facts);
  const finishedAtNs = latest(exit.finishedAtNs, container.startedAtNs ?? 0n);
  await store.putContainer({ ...container, state: 'EXITED', exit: { ...exit, finishedAtNs } });
  await clearRunningPartsLocked(context, container);
  log.info({ containerId, exitCode: exit.exitCode, reason: exit.reason }, 'container exited');
}

/** Removes tap, cgroup leaf and domain of a VM that does not run; idempotent. What fails is logged, and tried again when the container is removed. */
export async function clearRunningPartsLocked(context: PodsContext, container: Container): Promise<void> {
  const { hypervisor, network, cgroups, store, log } = context;
  const parent = store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
  const { domainName, tap } = container.vm;
  const steps = makeCleanupStack({ attempts: 2 });
  steps.add('undefine the domain', async (signal) => hypervisor.undefine(domainName, signal));
  steps.add('remove the cgroup', async () => cgroups.removeLeaf(parent, container.id));
  steps.add('remove the tap', async (signal) => network.removeTap(container.sandboxId, tap, signal));
  // It has ended, unless libvirt was away when a start was undone.
  steps.add('destroy the VM', async (signal) => hypervisor.destroy(domainName, signal));
  const failures = await steps.unwind();
  if (failures.length > 0) {
    const told = failures.map(({ description, error }) => `${description}: ${messageOf(error)}`);
    log.warn({ containerId: container.id, failures: told }, 'parts of an ended VM are left');
  }
}

async function gatherFacts(context: PodsContext, container: Container, end: ObservedEnd): Promise<EndFacts> {
  const { cgroups, hypervisor, store, clock, options } = context;
  const parent = store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
  const unexplained = end.cause === 'crashed' || end.cause === 'failed';
  return {
    cause: end.cause,
    oomKills: unexplained ? await cgroups.oomKills(parent, container.id) : 0,
    destroyedBecause: end.destroyedBecause,
    rebooted: container.bootId !== undefined && container.bootId !== options.bootId,
    report: await lastReport(context, container),
    hypervisorLog: unexplained || end.cause === 'shutdown' ? await hypervisor.lastLogLines(container.vm.domainName) : '',
    atNs: end.atNs ?? clock.nowNs(),
  };
}

/** What the guest said goes where a container's termination message goes, so that `kubectl` shows it. */
async function passOnMessage({ volumes, log }: PodsContext, container: Container, { cause, report }: EndFacts): Promise<void> {
  const file = terminationLogOf(container);
  if (cause !== 'shutdown' || !report?.message || file === undefined) return;
  await volumes.writeTerminationMessage(file, report.message).catch((error: unknown) => {
    log.warn({ containerId: container.id, error: messageOf(error) }, 'the termination message could not be written');
  });
}

async function drainConsole(context: PodsContext, container: Container): Promise<void> {
  try {
    await followConsole(context, container, AbortSignal.timeout(10_000)); // after a restart it may not be followed yet
    await finishConsole(context, container.id);
  } catch (error) {
    context.log.error({ containerId: container.id, error: messageOf(error) }, 'the end of the console could not be logged');
  }
}

function latest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
