import type { LinuxResources, StringMap } from './sandbox.ts';

/** A mount as the kubelet asked for it (CRI `Mount`), echoed in ContainerStatus: the kubelet finds the termination message by it. */
export interface Mount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly selinuxRelabel: boolean;
  /** CRI `MountPropagation` by number. */
  readonly propagation: number;
  readonly recursiveReadOnly: boolean;
}

/** What a kubelet asks for with CreateContainer, checked. */
export interface ContainerConfig {
  readonly name: string;
  /** CRI's attempt counter, from 0; a restart is the next attempt. */
  readonly attempt: number;
  /** `ImageSpec.image`: the image's id as PullImage or ImageStatus answered, or a reference. */
  readonly image: string;
  /** What the pod's author wrote; shown to users. */
  readonly userSpecifiedImage: string;
  readonly labels: StringMap;
  readonly annotations: StringMap;
  readonly mounts: readonly Mount[];
  /** Relative to the sandbox's log directory; empty for no log. */
  readonly logPath: string;
  readonly resources?: LinuxResources;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** CRI `Signal` by number; 0 = the runtime's default. */
  readonly stopSignal: number;
}

/**
 * A VM's life, CRI's states and one intent (CREATING: on disk before its effects, undone at boot, never listed):
 *
 *     CREATING --> CREATED --> RUNNING --> EXITED --> (record removed last)
 *                     |                      ^
 *                     +---- start failed ----+
 *
 * UNKNOWN: the record cannot be read but the VM exists.
 */
export type ContainerState = 'CREATING' | 'CREATED' | 'RUNNING' | 'EXITED' | 'UNKNOWN';

/** True for the states in which a VM may run. */
export function mayRun(state: ContainerState | undefined): boolean {
  return state === 'RUNNING' || state === 'UNKNOWN';
}

/** Why a VM ended; the words containerd uses. */
export type ExitReason = 'Completed' | 'Error' | 'OOMKilled' | 'StartError' | 'Unknown';

/** How a VM ended. */
export interface Exit {
  readonly exitCode: number;
  readonly reason: ExitReason;
  readonly message: string;
  /** Unix time in nanoseconds. */
  readonly finishedAtNs: bigint;
}

/** What a guest says of its own end, through its report port. */
export interface GuestReport {
  /** 0 to 255. */
  readonly exitCode: number;
  /** At most 4 KiB; the guest's words. */
  readonly message: string;
}

/** A CRI container: exactly one VM. */
export interface Container {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly state: ContainerState;
  /** Unix times in nanoseconds. */
  readonly createdAtNs: bigint;
  readonly startedAtNs?: bigint;
  /** Boot id of the node (proc(5), random/boot_id) when the VM was started: another one now means that the node was rebooted. */
  readonly bootId?: string;
  /** The guest's last report; it counts when the guest powers off. */
  readonly report?: GuestReport;
  readonly exit?: Exit;
  /** The image's id and a `name@digest` or id for `image_ref`. */
  readonly imageId: string;
  readonly imageRef: string;
  /** Absolute path of the CRI log. Always absolute: the kubelet deletes `<log_path>*`, and an empty one is its working directory. */
  readonly logPath: string;
  /** The VM as it was sized and placed. */
  readonly vm: VmFacts;
}

/** What was decided for a VM when it was created; kept so that a restart of the daemon decides nothing anew. */
export interface VmFacts {
  /** libvirt's domain name, `vmlet-<first 12 digits of the container's id>`. */
  readonly domainName: string;
  readonly domainUuid: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** The uid that QEMU and the VM's files have; one for each VM. */
  readonly uid: number;
  /** Name of the first interface's tap device, 14 characters; those of further ones have one more (`nthTap`). */
  readonly tap: string;
}

/** libvirt's domain name for a container. */
export function domainNameOf(containerId: string): string {
  return `vmlet-${containerId.slice(0, 12)}`;
}

/** The tap's name for a container: unique in the host's namespace at start, 14 characters (Linux IFNAMSIZ less one allows 15). */
export function tapNameOf(containerId: string): string {
  return `t${containerId.slice(0, 13)}`;
}

/** Most interfaces of a VM: their taps' names end in one character. */
export const maxInterfaces = 16;

/** The tap of interface `index`, from 0, of the VM whose first tap is `tap`. */
export function nthTap(tap: string, index: number): string {
  return index === 0 ? tap : `${tap}${index.toString(maxInterfaces)}`;
}
