import type { LibvirtCallReport, LibvirtClient } from '../libvirt/libvirt.ts';
import type { VmEvent } from './observed-vm.ts';

/** Who counts what happens between vmlet and libvirtd. Called synchronously; must not throw. */
export interface HypervisorHooks {
  readonly onLibvirtCallStarted: () => void;
  readonly onLibvirtCall: (report: LibvirtCallReport) => void;
  /** `again` after a loss. */
  readonly onLibvirtConnected: (facts: { readonly again: boolean }) => void;
  readonly onLibvirtDisconnected: () => void;
  /** vmlet's own libvirtd was started, not found running. */
  readonly onLibvirtdStarted: () => void;
  /** `heard`: somebody listens to events of VMs. */
  readonly onVmEvent: (kind: VmEvent['kind'], heard: boolean) => void;
}

/** Nobody counts. */
export const noHooks: HypervisorHooks = {
  onLibvirtCallStarted: () => undefined,
  onLibvirtCall: () => undefined,
  onLibvirtConnected: () => undefined,
  onLibvirtDisconnected: () => undefined,
  onLibvirtdStarted: () => undefined,
  onVmEvent: () => undefined,
};

/** Has the connection counted. */
export function countConnections(client: LibvirtClient, hooks: HypervisorHooks): void {
  client.on('connected', hooks.onLibvirtConnected);
  client.on('disconnected', hooks.onLibvirtDisconnected);
}
