import { libvirtNumbers, type DomainEvent, type DomainStatus } from '../libvirt/libvirt.ts';
import type { ObservedVm, VmEndCause, VmEvent } from './observed-vm.ts';

const { shutoffReason, stoppedDetail, crashedDetail } = libvirtNumbers;

/** A VM's state from libvirt's. Being shut down, it still runs; what libvirt calls crashed or unknown has no process that goes on. */
export function stateOf({ state }: DomainStatus): ObservedVm['state'] {
  switch (state) {
    case 'running':
    case 'blocked':
    case 'shutdown':
      return 'running';
    case 'paused':
    case 'pmsuspended':
      return 'paused';
    case 'nostate':
    case 'shutoff':
    case 'crashed':
    case 'unknown':
      return 'off';
  }
}

/** How a VM that is off has ended, by libvirt's reason; `undefined` when libvirt does not know (never started, or libvirtd was restarted since). */
export function endCauseOf(status: DomainStatus): VmEndCause | undefined {
  if (stateOf(status) !== 'off') return undefined;
  return new Map<number, VmEndCause>([
    [shutoffReason.shutdown, 'shutdown'],
    [shutoffReason.destroyed, 'destroyed'],
    [shutoffReason.crashed, 'crashed'],
    [shutoffReason.failed, 'failed'],
    // Somebody else's virsh moved or saved it away.
    [shutoffReason.migrated, 'destroyed'],
    [shutoffReason.saved, 'destroyed'],
  ]).get(status.reason);
}

/** The kind of event, without a name and time. */
export type VmEventBody = { readonly kind: 'stopped'; readonly cause: VmEndCause } | { readonly kind: Exclude<VmEvent['kind'], 'stopped'> };

/** What an event of libvirt's means for a VM; `undefined` for what VMs do not tell. `panicked`: the guest's panic was told before. */
export function eventBodyOf(event: DomainEvent, panicked: boolean): VmEventBody | undefined {
  if (event.kind === 'reboot') return { kind: 'rebooted' };
  if (event.kind !== 'lifecycle') return undefined;
  switch (event.event) {
    case 'started':
      return { kind: 'started' };
    case 'suspended':
    case 'pmsuspended':
      return { kind: 'paused' };
    case 'resumed':
      return { kind: 'resumed' };
    case 'stopped':
      return { kind: 'stopped', cause: stoppedCause(event.detail, panicked) };
    case 'defined':
    case 'undefined':
    case 'shutdown':
    case 'crashed':
    case 'unknown':
      return undefined;
  }
}

/** True for the event that tells a guest's panic (by pvpanic), which comes before `stopped`. */
export function tellsPanic(event: DomainEvent): boolean {
  return event.kind === 'lifecycle' && event.event === 'crashed' && event.detail === crashedDetail.panicked;
}

/** libvirt says `failed` when QEMU's process ended by itself: by a signal, an OOM kill or a bug; `crashed` when it ended QEMU for a crash of the guest. */
function stoppedCause(detail: number, panicked: boolean): VmEndCause {
  switch (detail) {
    case stoppedDetail.shutdown:
      return 'shutdown';
    case stoppedDetail.crashed:
      return panicked ? 'panicked' : 'crashed';
    case stoppedDetail.failed:
      return 'failed';
    default:
      return 'destroyed'; // destroyed; or saved, migrated, reverted by somebody else
  }
}
