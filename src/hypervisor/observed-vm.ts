import type { VmIdentity } from '../model/vm-identity.ts';

/** What libvirt reports of a VM of ours. */
export interface ObservedVm {
  readonly name: string;
  readonly uuid: string;
  readonly identity: VmIdentity;
  readonly state: 'running' | 'paused' | 'off';
  /** How it ended, when it is off and libvirt still knows (it forgets when it is restarted): libvirt's shut-off reason. */
  readonly endCause: VmEndCause | undefined;
}

/** How a VM ended, as far as libvirt's event tells; whether it was an OOM kill only the cgroup knows. */
export type VmEndCause = 'shutdown' | 'destroyed' | 'crashed' | 'panicked' | 'failed';

/** Something happened to a VM of ours. */
export type VmEvent =
  | { readonly kind: 'stopped'; readonly name: string; readonly cause: VmEndCause; readonly atNs: bigint }
  | { readonly kind: 'started' | 'paused' | 'resumed' | 'rebooted'; readonly name: string; readonly atNs: bigint };
