import type { VmEvent } from '../hypervisor/hypervisor.ts';
import { messageOf } from '../lib/errno.ts';
import { useCaseTimeoutMs, type PodsContext } from './context.ts';
import { recordEndLocked } from './end-of-vm.ts';
import { placeHelpers } from './start-container.ts';

/** Turns libvirt's events into records. */
export interface Watch {
  readonly start: () => void;
  /** Stops listening and waits for what is being recorded. */
  readonly stop: () => Promise<void>;
}

/** Watches VMs and what serves them: an end is recorded when libvirt tells it; after a gap in the events `reconcile` compares everything. */
export function watchVms(context: PodsContext, reconcile: (signal: AbortSignal) => Promise<void>): Watch {
  const { hypervisor, network, store, locks, log } = context;
  const busy = new Set<Promise<void>>();
  let unsubscribe: (() => void)[] = [];

  function background(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    const run = Promise.try(work, AbortSignal.timeout(useCaseTimeoutMs))
      .catch((error: unknown) => log.error({ error: messageOf(error) }, what))
      .finally(() => busy.delete(run));
    busy.add(run);
  }

  function onEvent(event: VmEvent): void {
    if (event.kind !== 'stopped') return;
    const container = store.containerByDomain(event.name);
    if (!container) return;
    background('the end of a VM could not be recorded', async (signal) => {
      using _lock = await locks.lock(container.sandboxId, signal);
      await recordEndLocked(context, container.id, { cause: event.cause, atNs: event.atNs });
    });
  }

  function onHelperReplaced(sandboxId: string): void {
    background('a helper process is not in its VM’s cgroup', async (signal) => {
      using _lock = await locks.lock(sandboxId, signal);
      const container = store.containersOf(sandboxId).find(({ state }) => state === 'RUNNING');
      if (container) await placeHelpers(context, container);
    });
  }

  return {
    start: () => {
      unsubscribe = [
        network.onHelperReplaced(onHelperReplaced),
        hypervisor.onEvent(onEvent),
        hypervisor.onConnected(() => background('VMs could not be compared with their records', reconcile)),
      ];
    },
    stop: async () => {
      for (const stopListening of unsubscribe) stopListening();
      await Promise.allSettled(busy);
    },
  };
}
