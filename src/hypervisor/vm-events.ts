import type { DomainEvent, LibvirtClient } from '../libvirt/libvirt.ts';
import type { HypervisorHooks } from './hooks.ts';
import type { VmEvent } from './observed-vm.ts';
import { eventBodyOf, tellsPanic } from './vm-state.ts';

/** What happens to VMs of ours, as it happens. */
export interface VmEvents {
  /** In libvirt's order. Answers a function that unsubscribes. */
  readonly onEvent: (listener: (event: VmEvent) => void) => () => void;
  /**
   * libvirt is connected, for the first time since the listener subscribed or after a loss: events may have been missed, so list again.
   * Answers a function that unsubscribes.
   */
  readonly onConnected: (listener: () => void) => () => void;
}

/** Domains that may be ours; what else runs in a libvirtd that is shared is not told of. */
const vmName = /^vmlet-[0-9a-f]{12}$/;

/** Tells of libvirt's events as what happens to VMs. libvirt gives no time: it is taken when the event arrives. */
export function followEvents(client: LibvirtClient, onVmEvent: HypervisorHooks['onVmEvent']): VmEvents {
  const listeners = new Set<(event: VmEvent) => void>();
  const panicked = new Set<string>();

  client.on('event', (event: DomainEvent) => {
    const { name } = event.domain;
    if (!vmName.test(name)) return;
    const body = eventBodyOf(event, panicked.has(name));
    if (tellsPanic(event)) panicked.add(name);
    if (!body) return;
    if (body.kind === 'stopped' || body.kind === 'started') panicked.delete(name);
    onVmEvent(body.kind, listeners.size > 0);
    const told: VmEvent = { ...body, name, atNs: BigInt(Date.now()) * 1_000_000n };
    for (const listener of listeners) listener(told);
  });

  return {
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onConnected: (listener) => client.on('connected', () => listener()),
  };
}
