import type { ObservedVm } from '../hypervisor/hypervisor.ts';
import { messageOf } from '../lib/errno.ts';
import { withTimeout } from '../lib/signals.ts';
import { mayRun, type Container } from '../model/container.ts';
import { followConsole } from './console.ts';
import { useCaseTimeoutMs, type PodsContext } from './context.ts';
import { removeFiles } from './create-container.ts';
import { clearRunningPartsLocked, recordEndLocked } from './end-of-vm.ts';
import { followReports } from './reports.ts';
import { salvage } from './recovery-unreadable.ts';
import { placeHelpers } from './start-container.ts';
import { planRecovery, strayVms, type RecoveryStep } from './recovery-plan.ts';

type Executors = {
  readonly [A in RecoveryStep['action']]: (
    context: PodsContext,
    container: Container,
    step: Extract<RecoveryStep, { action: A }>,
    signal: AbortSignal,
  ) => Promise<unknown>;
};

const executors: Executors = {
  'undo-create': async (context, container, _step, signal) => {
    await context.hypervisor.undefine(container.vm.domainName, signal);
    await removeFiles(context, container.id);
    await context.store.removeContainer(container.id);
    context.images.release(container.imageId, container.id);
  },
  adopt: async (context, container, _step, signal) => {
    followReports(context, container);
    await followConsole(context, container, signal);
  },
  'complete-start': async (context, container, _step, signal) => {
    const { clock, options, store } = context;
    await store.putContainer({ ...container, state: 'RUNNING', startedAtNs: clock.nowNs(), bootId: options.bootId });
    followReports(context, container);
    await followConsole(context, container, signal);
    // The network's recovery may be over, and knew of no running VM. The guest runs with the network that it has; DHCP is tried again there.
    await context.network.adopt(container.sandboxId, container.vm.tap, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      context.log.error({ containerId: container.id, sandboxId: container.sandboxId, err: error }, 'network of a running VM not adopted');
    });
    await placeHelpers(context, container);
  },
  'undo-start': async (context, container, _step, signal) => {
    const parent = context.store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
    await context.hypervisor.destroy(container.vm.domainName, signal);
    await context.network.removeTap(container.sandboxId, container.vm.tap, signal);
    await context.cgroups.removeLeaf(parent, container.id);
  },
  'record-end': async (context, container, step) => recordEndLocked(context, container.id, { cause: step.cause }),
  clear: async (context, container) => clearRunningPartsLocked(context, container),
};

/**
 * The run at boot. Assumes: no use case runs yet; the records are complete or the unreadable ones are named; libvirt may be away, then
 * VMs keep their recorded state until it is back. One object that cannot be mended is logged and does not stop the others.
 */
export async function recover(context: PodsContext, signal: AbortSignal): Promise<void> {
  const { images, store, log, network } = context;
  for (const container of store.containers.all().values()) {
    try {
      images.hold(container.imageId, container.id);
    } catch (error) {
      log.error({ containerId: container.id, imageId: container.imageId, error: messageOf(error) }, 'the image of a container is gone');
    }
  }
  await reconcile(context, signal);
  await recoverSandboxes(context);
  await network.recover(liveTaps(context), signal);
  for (const container of store.containers.all().values()) {
    if (container.state !== 'RUNNING') continue;
    await placeHelpers(context, container).catch((error: unknown) =>
      log.warn({ containerId: container.id, error: messageOf(error) }, 'a helper process is not in its VM’s cgroup'),
    );
  }
}

/** Compares records with libvirt's VMs and mends what differs; also after libvirt was away, since events in the gap are lost. */
export async function reconcile(context: PodsContext, signal: AbortSignal): Promise<void> {
  const { hypervisor, store, log } = context;
  let observed: readonly ObservedVm[] | undefined;
  try {
    observed = await hypervisor.list(signal);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'libvirt cannot be asked; VMs keep their recorded state until it is back');
  }
  await salvage(context, observed);
  if (!observed) return;
  for (const vm of strayVms(store.containers.all(), observed)) {
    log.error({ domain: vm.name, identity: vm.identity }, 'a VM of vmlet has no record; it is left alone');
  }
  await Promise.all(planRecovery(store.containers.all().values(), observed).map(async (step) => mend(context, step, signal)));
}

async function mend(context: PodsContext, step: RecoveryStep, signal: AbortSignal): Promise<void> {
  const { store, locks, log } = context;
  using within = withTimeout(signal, useCaseTimeoutMs, 'recovery of one container');
  try {
    const sandboxId = store.containers.get(step.containerId)?.sandboxId;
    if (sandboxId === undefined) return;
    using _lock = await locks.lock(sandboxId, within);
    const container = store.containers.get(step.containerId);
    if (!container || stillPlanned(container, step) === false) return;
    log.info({ containerId: step.containerId, action: step.action }, 'recovering container');
    await (executors[step.action] as Executors['record-end'])(
      context,
      container,
      step as Extract<RecoveryStep, { action: 'record-end' }>,
      within,
    );
  } catch (error) {
    log.error({ containerId: step.containerId, action: step.action, error: messageOf(error) }, 'container could not be recovered');
  }
}

/** Between the plan and the lock a use case may have moved the container on. */
function stillPlanned(container: Container, step: RecoveryStep): boolean {
  const states = {
    'undo-create': 'CREATING',
    adopt: 'RUNNING',
    'complete-start': 'CREATED',
    'undo-start': 'CREATED',
    'record-end': 'RUNNING',
    clear: 'EXITED',
  } as const satisfies Record<RecoveryStep['action'], Container['state']>;
  return container.state === states[step.action];
}

async function recoverSandboxes(context: PodsContext): Promise<void> {
  const { store, network, log } = context;
  for (const sandbox of store.sandboxes.all().values()) {
    try {
      if (sandbox.state === 'CREATING') {
        await store.sandboxes.remove(sandbox.id); // its network is released as that of any sandbox that is no more
      } else if (sandbox.state === 'READY' && !(await network.isAlive(sandbox.id))) {
        log.warn({ sandboxId: sandbox.id }, 'the sandbox’s network namespace is gone');
        await store.sandboxes.put(sandbox.id, { ...sandbox, state: 'NOTREADY' });
      }
    } catch (error) {
      log.error({ sandboxId: sandbox.id, error: messageOf(error) }, 'sandbox could not be recovered');
    }
  }
}

/**
 * Sandboxes that keep their network, with the tap of their running VM. NOTREADY ones keep it too until they are stopped or removed, and
 * those whose record cannot be read: their pod may be running.
 */
function liveTaps(context: PodsContext): ReadonlyMap<string, string | undefined> {
  const { store } = context;
  const running = [...store.containers.all().values()].filter(({ state }) => mayRun(state));
  const tapOf = new Map(running.map((container) => [container.sandboxId, container.vm.tap]));
  const made = [...store.sandboxes.all().values()].filter(({ state }) => state !== 'CREATING');
  const ids = [...made.map(({ id }) => id), ...store.sandboxes.unreadable.map(({ id }) => id)];
  return new Map(ids.map((id) => [id, tapOf.get(id)]));
}
