import type { Condition } from '../model/condition.ts';
import type { DnsConfig, NetworkAttachment } from '../model/network.ts';
import type { PortMapping, SandboxMetadata, StringMap } from '../model/sandbox.ts';

/** What a sandbox asks of its network. */
export interface AttachRequest {
  readonly sandboxId: string;
  readonly metadata: SandboxMetadata;
  readonly hostname: string;
  readonly dns: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: StringMap;
}

/**
 * Pod networks: a named netns, CNI, and the joint between the CNI's interface and a VM's tap. Everything it makes for a sandbox is
 * recorded before it is made and is found again after a restart by the sandbox's id; every removal is idempotent.
 */
export interface Network {
  /** What is true now: whether a usable CNI configuration is there. */
  readonly condition: () => Condition;
  /** netns and CNI ADD. On error everything is rolled back. Errors: CNI_UNAVAILABLE, CNI_FAILED. */
  readonly attach: (request: AttachRequest, signal: AbortSignal) => Promise<NetworkAttachment>;
  /** The attachment of a sandbox, from memory; `undefined` when there is none. */
  readonly attachment: (sandboxId: string) => NetworkAttachment | undefined;
  /** True while the sandbox's netns exists (after a reboot of the node it does not). */
  readonly isAlive: (sandboxId: string) => Promise<boolean>;
  /** Puts the CNI's interface back, CNI DEL, ends DHCP, removes the netns and the record. Complete also when some of it is gone already. */
  readonly detach: (sandboxId: string, signal: AbortSignal) => Promise<void>;
  /** Makes the VM's tap in the host's namespace, owned by the VM's uid, down; a leftover of the same name is replaced. */
  readonly makeTap: (tap: string, uid: number, signal: AbortSignal) => Promise<void>;
  /**
   * Moves the tap into the pod's netns and on a bridge with the CNI's interface, whose address and MAC now belong to the guest, and
   * starts DHCP. To be called while the VM is paused; answers when DHCP is ready.
   */
  readonly joinTap: (sandboxId: string, tap: string, signal: AbortSignal) => Promise<void>;
  /** Removes the tap from wherever it is, ends DHCP; a tap that is gone is fine. The CNI's interface stays on its bridge until `detach`. */
  readonly removeTap: (sandboxId: string, tap: string, signal: AbortSignal) => Promise<void>;
  /**
   * After a start of the daemon: adopts or restarts DHCP of sandboxes in `live`, detaches all others that are recorded.
   * `live` maps sandbox ids to the tap of their running VM, if any.
   */
  readonly recover: (live: ReadonlyMap<string, string | undefined>, signal: AbortSignal) => Promise<void>;
}
