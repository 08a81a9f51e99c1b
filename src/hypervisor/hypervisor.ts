import { mkdir } from 'node:fs/promises';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { withTimeout } from '../lib/signals.ts';
import { makeLibvirtClient } from '../libvirt/libvirt.ts';
import type { Condition } from '../model/condition.ts';
import type { GuestReport } from '../model/container.ts';
import { asVmletError } from './failures.ts';
import { countConnections, noHooks, type HypervisorHooks } from './hooks.ts';
import { makeLifeCycle, type LifeCycle } from './life-cycle.ts';
import type { ObservedVm } from './observed-vm.ts';
import { makeOwnLibvirtd } from './own-libvirtd.ts';
import { qemuLogTail, qemuPid } from './qemu-process.ts';
import { watchReadiness } from './readiness.ts';
import { followReports, type GuestReports } from './report-port.ts';
import { followEvents, type VmEvents } from './vm-events.ts';
import { kvmGroup } from './vm-files.ts';
import { findVm, listVms } from './vms.ts';

export type { HypervisorHooks } from './hooks.ts';
export type { ObservedVm, VmEndCause, VmEvent } from './observed-vm.ts';
export type { GuestReports } from './report-port.ts';
export type { VmInterface, VmSpec } from './vm-spec.ts';

/** libvirt domains as VMs of ours: a domain without our metadata is never touched. */
export interface Hypervisor extends LifeCycle, VmEvents {
  /** libvirt reachable and probed, with a warning in `message` when VMs are emulated without KVM. */
  readonly condition: () => Condition;
  /** `kvm` or `qemu` (TCG); `undefined` before the probe has run. */
  readonly accelerator: () => 'kvm' | 'qemu' | undefined;
  /** gid that VMs run with (group `kvm`). */
  readonly gid: number;
  /** QEMU's pid of a running VM, checked against /proc; `undefined` when it does not run. */
  readonly pidOf: (name: string) => Promise<number | undefined>;
  /** One VM, or `undefined` when libvirt has none of that name (or it is not ours). */
  readonly observe: (name: string, signal: AbortSignal) => Promise<ObservedVm | undefined>;
  /** All VMs of ours. */
  readonly list: (signal: AbortSignal) => Promise<readonly ObservedVm[]>;
  /** Listens for what a guest says of its own end, on this socket of its VM. */
  readonly followReports: (socketPath: string, listener: (report: GuestReport) => void) => GuestReports;
  /** The end of QEMU's log of a VM (`<log dir>/qemu/NAME.log`), at most 2 KiB; empty when there is none. */
  readonly lastLogLines: (name: string) => Promise<string>;
}

/** The hypervisor with its life in the daemon. */
export interface HypervisorService extends Hypervisor {
  /**
   * Adopts or starts libvirtd and waits until it is known whether VMs can be had, at most `waitMs`: what is wrong is in `condition`, and is
   * looked at again. Throws the signal's reason.
   */
  readonly start: (waitMs: number, signal: AbortSignal) => Promise<void>;
  /** Ends the connection; libvirtd and VMs stay as they are. */
  readonly close: () => Promise<void>;
}

/** How VMs are run. */
export interface HypervisorOptions {
  readonly domainType: 'auto' | 'kvm' | 'qemu';
  /** For vmlet's own libvirtd, and the verdict on KVM; made 0711. */
  readonly stateDir: string;
  /** For libvirtd's socket and pid files; made 0711. */
  readonly runtimeDir: string;
  /** A libvirtd that somebody else runs; vmlet then never starts one. */
  readonly external?: {
    readonly socketPath: string;
    readonly runDir: string;
    /** What to open there; default `qemu:///system`. */
    readonly uri?: string;
  };
  /** The node's boot id (proc(5)). */
  readonly bootId: string;
}

/** Connects in the background; nothing is started before `start`. Throws INVALID when the host has no group `kvm`. */
export async function makeHypervisor(
  options: HypervisorOptions,
  deps: { readonly log: Log; readonly hooks?: HypervisorHooks },
): Promise<HypervisorService> {
  const { log, hooks = noHooks } = deps;
  const { external, stateDir, runtimeDir } = options;
  const gid = await kvmGroup();
  for (const dir of [stateDir, runtimeDir]) await mkdir(dir, { recursive: true, mode: 0o711 });
  const own = external ? undefined : makeOwnLibvirtd({ stateDir, runDir: runtimeDir }, { log, onStarted: hooks.onLibvirtdStarted });
  const places = own ?? { socketPath: external?.socketPath ?? '', runDir: external?.runDir ?? '', logDir: '/var/log/libvirt' };
  const client = makeLibvirtClient({
    socketPath: places.socketPath,
    onCallStarted: hooks.onLibvirtCallStarted,
    onCall: hooks.onLibvirtCall,
    ...(external?.uri === undefined ? {} : { uri: external.uri }),
  });
  countConnections(client, hooks);
  const readiness = watchReadiness(options, client, { log });
  const events = followEvents(client, hooks.onVmEvent);
  const lifeCycle = makeLifeCycle({ client, readiness, ...places, log });

  return {
    ...lifeCycle,
    ...events,
    gid,
    condition: readiness.condition,
    accelerator: () => readiness.probed()?.host.accelerator,
    pidOf: async (name) => qemuPid(places.runDir, name),
    observe: async (name, signal) => asked(name, async () => findVm(client.query, name, signal)),
    list: async (signal) => asked('list', async () => listVms(client.query, signal)),
    followReports,
    lastLogLines: async (name) => qemuLogTail(places.logDir, name),
    start: async (waitMs, signal) => {
      await own?.keepRunning().catch((error: unknown) => log.error({ error: messageOf(error) }, 'libvirtd cannot be started'));
      using within = withTimeout(signal, waitMs, 'start of the hypervisor');
      await readiness.settled(within).catch(() => signal.throwIfAborted());
    },
    close: async () => {
      own?.release();
      readiness.close();
      await client.close();
    },
  };
}

async function asked<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw asVmletError(error, what);
  }
}
