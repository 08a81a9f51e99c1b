import type { Condition } from '../model/condition.ts';
import type { DiskFormat } from '../model/image.ts';
import type { VmIdentity } from '../model/vm-identity.ts';

/** What we want of a VM; `domain-xml.ts` turns it into libvirt's domain XML. */
export interface VmSpec {
  /** Domain name. */
  readonly name: string;
  readonly uuid: string;
  readonly identity: VmIdentity;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** QEMU runs as this uid and gid; overlay, seed, console and tap belong to them. */
  readonly uid: number;
  readonly gid: number;
  readonly rootDisk: { readonly path: string; readonly base: { readonly path: string; readonly format: DiskFormat } };
  /** NoCloud seed, read-only. */
  readonly seedPath: string;
  readonly interfaces: readonly { readonly tap: string; readonly mac: string; readonly mtu: number }[];
  /** Serial port: unix socket for attach, and QEMU's log of all output beside it. In directories that root alone can write. */
  readonly console: { readonly socketPath: string; readonly logPath: string };
}

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

/** libvirt domains as VMs of ours: a domain without our metadata is never touched. */
export interface Hypervisor {
  /** libvirt reachable and probed, with a warning in `message` when VMs are emulated without KVM. */
  readonly condition: () => Condition;
  /** `kvm` or `qemu` (TCG); `undefined` before the probe has run. */
  readonly accelerator: () => 'kvm' | 'qemu' | undefined;
  /** gid that VMs run with (group `kvm`). */
  readonly gid: number;
  /** Makes the domain known to libvirt, not started; creates the console log file owned by the VM. Replaces a defined, inactive domain of the same name and identity. */
  readonly define: (spec: VmSpec, signal: AbortSignal) => Promise<void>;
  /** Starts the domain paused; answers QEMU's pid, checked against /proc. Errors: VM_FAILED, LIBVIRT_UNAVAILABLE. */
  readonly startPaused: (name: string, signal: AbortSignal) => Promise<{ readonly pid: number; readonly vcpuTids: readonly number[] }>;
  readonly resume: (name: string, signal: AbortSignal) => Promise<void>;
  /** QEMU's pid of a running VM, checked against /proc; `undefined` when it does not run. */
  readonly pidOf: (name: string) => Promise<number | undefined>;
  /** Asks the guest to power off: by its agent when that answers, else by the ACPI power button; to be repeated by the caller. */
  readonly requestShutdown: (name: string, signal: AbortSignal) => Promise<void>;
  /** Ends the VM now; one that does not run or exist is fine. */
  readonly destroy: (name: string, signal: AbortSignal) => Promise<void>;
  /** Forgets the domain; one that does not exist is fine. */
  readonly undefine: (name: string, signal: AbortSignal) => Promise<void>;
  /** One VM, or `undefined` when libvirt has none of that name (or it is not ours). */
  readonly observe: (name: string, signal: AbortSignal) => Promise<ObservedVm | undefined>;
  /** All VMs of ours. */
  readonly list: (signal: AbortSignal) => Promise<readonly ObservedVm[]>;
  /** The end of QEMU's log of a VM (`<log dir>/qemu/NAME.log`), at most 2 KiB; empty when there is none. */
  readonly lastLogLines: (name: string) => Promise<string>;
  /** Events, in order. `reconnected` tells that events may have been missed: list again. Answers a function that unsubscribes. */
  readonly onEvent: (listener: (event: VmEvent) => void) => () => void;
  readonly onReconnected: (listener: () => void) => () => void;
}
