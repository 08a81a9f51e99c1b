import type { DnsConfig, GuestInterface } from '../model/network.ts';

/** What a guest is told by its NoCloud seed. */
export interface SeedRequest {
  /** Where the ISO image is made, absolute. */
  readonly path: string;
  /** cloud-init runs its once-per-instance steps when this changes. */
  readonly instanceId: string;
  readonly hostname: string;
  readonly interfaces: readonly GuestInterface[];
  readonly dns: DnsConfig;
  readonly uid: number;
  readonly gid: number;
}

/** What the guest is told. */
export interface Guest {
  /** Writes the NoCloud seed (label `cidata`; meta-data, user-data, network-config version 2), mode 0600, owned by the VM's uid. Replaces a leftover. */
  readonly makeSeed: (request: SeedRequest, signal: AbortSignal) => Promise<void>;
}
