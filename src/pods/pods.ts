import type { Container, ContainerConfig } from '../model/container.ts';
import type { Sandbox, SandboxConfig } from '../model/sandbox.ts';

/**
 * The use cases of a pod's life. Every method is idempotent where CRI wants it, joins a run under way for the same object, and leaves
 * the records truthful whenever the process dies. Reads answer from memory: they never wait for a lock, libvirt or the disk.
 */
export interface Pods {
  /**
   * Makes a sandbox READY (network up, addresses known) and answers its id. A repeated call for the same metadata joins the running
   * one and gets its result. Errors: CNI_FAILED, CNI_UNAVAILABLE, DISK_FULL; everything is rolled back.
   */
  readonly runSandbox: (config: SandboxConfig, signal: AbortSignal) => Promise<string>;
  /** Kills the sandbox's VM without grace and releases its network; NOTREADY afterwards. An unknown id is fine. */
  readonly stopSandbox: (id: string, signal: AbortSignal) => Promise<void>;
  /** Stops what runs and forgets the sandbox with its containers. An unknown id is fine. */
  readonly removeSandbox: (id: string, signal: AbortSignal) => Promise<void>;
  /** The sandbox with this id or unique prefix. Throws NOT_FOUND, or INVALID for an ambiguous prefix. */
  readonly sandbox: (idOrPrefix: string) => Sandbox;
  /** All sandboxes that callers may see (READY and NOTREADY), oldest first. Throws RECORDS_UNREADABLE rather than answer a shorter list. */
  readonly sandboxes: () => readonly Sandbox[];

  /**
   * Prepares a VM (root disk, seed, domain) and answers its id; no guest code runs. Errors: NOT_FOUND, IMAGE_NOT_FOUND, INVALID,
   * WRONG_STATE (sandbox not READY, or another VM lives in it), DISK_FULL, LIBVIRT_UNAVAILABLE.
   */
  readonly createContainer: (sandboxId: string, config: ContainerConfig, signal: AbortSignal) => Promise<string>;
  /** CREATED to RUNNING. A failure makes it EXITED (128, StartError) and is thrown. Errors: NOT_FOUND, WRONG_STATE, VM_FAILED, LIBVIRT_UNAVAILABLE. */
  readonly startContainer: (id: string, signal: AbortSignal) => Promise<void>;
  /** Asks the guest to shut down, destroys the VM after `graceMs` (0: at once); answers when EXITED is visible. An unknown id or one that does not run is fine. */
  readonly stopContainer: (id: string, graceMs: number, signal: AbortSignal) => Promise<void>;
  /** Destroys what runs and removes disk, domain and record; the log stays. An unknown id is fine. */
  readonly removeContainer: (id: string, signal: AbortSignal) => Promise<void>;
  /** The container with this id or unique prefix. Throws NOT_FOUND, or INVALID for an ambiguous prefix. */
  readonly container: (idOrPrefix: string) => Container;
  /** All containers that callers may see, oldest first. Throws RECORDS_UNREADABLE rather than answer a shorter list. */
  readonly containers: () => readonly Container[];
  /** Opens the CRI log anew after the kubelet has renamed it; answers once new lines go to the new file. Errors: NOT_FOUND, WRONG_STATE unless RUNNING. */
  readonly reopenLog: (id: string, signal: AbortSignal) => Promise<void>;
}
