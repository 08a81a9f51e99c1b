import type { VmEvent } from '../hypervisor/hypervisor.ts';
import { messageOf } from '../lib/errno.ts';
import { useCaseTimeoutMs, type PodsContext } from './context.ts';
import { recordEndLocked } from './end-of-vm.ts';

/** Turns libvirt's events into records. */
export interface Watch {
  readonly start: () => void;
  /** Stops listening and waits for what is being recorded. */
  readonly stop: () => Promise<void>;
}

/** Watches VMs: an end is recorded when libvirt tells it; after a gap in the events `reconcile` compares everything. */
export function watchVms(context: PodsContext, reconcile: (signal: AbortSignal) => Promise<void>): Watch {
  const { hypervisor, store, locks, log } = context;
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

  return {
    start: () => {
      unsubscribe = [
        hypervisor.onEvent(onEvent),
        hypervisor.onReconnected(() => background('VMs could not be compared with their records', reconcile)),
      ];
    },
    stop: async () => {
      for (const stopListening of unsubscribe) stopListening();
      await Promise.allSettled(busy);
    },
  };
}
