/** Whom a domain belongs to, written whole into its libvirt metadata. A domain without it is not ours and is never touched. */
export interface VmIdentity {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  /** The sandbox's attempt and the container's. */
  readonly sandboxAttempt: number;
  readonly containerName: string;
  readonly containerAttempt: number;
}
