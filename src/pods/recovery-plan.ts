import type { ObservedVm } from '../hypervisor/hypervisor.ts';
import type { Container } from '../model/container.ts';
import type { EndFacts } from './exit.ts';

/** What is to be done for one container so that record and world agree again. */
export type RecoveryStep =
  /** A creation was cut short: undo it. */
  | { readonly action: 'undo-create'; readonly containerId: string }
  /** It runs, as recorded: follow its console again. */
  | { readonly action: 'adopt'; readonly containerId: string }
  /** A start was cut short after the guest had begun to run: it is RUNNING. */
  | { readonly action: 'complete-start'; readonly containerId: string }
  /** A start was cut short before the guest ran: back to CREATED. */
  | { readonly action: 'undo-start'; readonly containerId: string }
  /** It ended while nobody looked. */
  | { readonly action: 'record-end'; readonly containerId: string; readonly cause: EndFacts['cause'] }
  /** Its end is recorded, but parts of the VM may be left. */
  | { readonly action: 'clear'; readonly containerId: string };

/** Compares records with the VMs that libvirt has; pure. VMs without a record are not mentioned: nothing is done to them. */
export function planRecovery(containers: Iterable<Container>, observed: readonly ObservedVm[]): readonly RecoveryStep[] {
  const vms = new Map(observed.map((vm) => [vm.identity.containerId, vm]));
  return [...containers].flatMap((container) => stepFor(container, vms.get(container.id)) ?? []);
}

function stepFor(container: Container, vm: ObservedVm | undefined): RecoveryStep | undefined {
  const containerId = container.id;
  const state = vm?.state ?? 'off';
  switch (container.state) {
    case 'CREATING':
      return { action: 'undo-create', containerId };
    case 'CREATED':
      if (state === 'running') return { action: 'complete-start', containerId };
      return state === 'paused' ? { action: 'undo-start', containerId } : undefined;
    case 'RUNNING':
      if (state !== 'off') return { action: 'adopt', containerId };
      return { action: 'record-end', containerId, cause: vm?.endCause ?? 'lost' };
    case 'EXITED':
      return vm ? { action: 'clear', containerId } : undefined;
    case 'UNKNOWN':
      return undefined;
  }
}

/** VMs of ours without a record: somebody must look at them, since a record that was lost may be a user's data. */
export function strayVms(containers: ReadonlyMap<string, Container>, observed: readonly ObservedVm[]): readonly ObservedVm[] {
  return observed.filter((vm) => !containers.has(vm.identity.containerId));
}
