import type { Log } from '../lib/log.ts';
import { isLibvirtError, libvirtNumbers, type LibvirtClient } from '../libvirt/libvirt.ts';
import { domainXml } from './domain-xml.ts';
import { asVmletError, isGone, isWrongState, reasonOf, unavailable, vmFailed } from './failures.ts';
import { qemuLogTail, qemuPid, removeQemuLog, removeRemains, vcpuThreads } from './qemu-process.ts';
import type { Readiness } from './readiness.ts';
import { requestShutdown } from './shutdown.ts';
import { setOomScore } from './oom-score.ts';
import { diskCache } from './vm-files.ts';
import type { VmSpec } from './vm-spec.ts';
import { findVm, type FoundVm } from './vms.ts';

/** QEMU's process and the threads that are virtual CPUs. */
export interface StartedVm {
  readonly pid: number;
  readonly vcpuTids: readonly number[];
}

/** What the life cycle works with. */
interface LifeCycleParts {
  readonly client: LibvirtClient;
  readonly readiness: Readiness;
  /** libvirt's `/run/libvirt` and `/var/log/libvirt`. */
  readonly runDir: string;
  readonly logDir: string;
  /** vmlet's own libvirt's `/var/lib/libvirt`; absent with another's, where nothing is tidied. */
  readonly libDir?: string;
  readonly log: Log;
}

/** A VM's way through libvirt. */
export interface LifeCycle {
  /** Makes the domain known to libvirt, not started. Replaces a defined, inactive domain of the same name and uuid. */
  readonly define: (spec: VmSpec, signal: AbortSignal) => Promise<void>;
  /**
   * Starts the domain paused, with this score for the kernel's choice when memory runs out (proc(5), oom_score_adj); answers QEMU's pid,
   * checked against /proc. Errors: VM_FAILED, LIBVIRT_UNAVAILABLE.
   */
  readonly startPaused: (name: string, oomScoreAdj: number, signal: AbortSignal) => Promise<StartedVm>;
  readonly resume: (name: string, signal: AbortSignal) => Promise<void>;
  /** Asks the guest to power off: by its agent when that answers, else by the ACPI power button; to be repeated by the caller. */
  readonly requestShutdown: (name: string, signal: AbortSignal) => Promise<void>;
  /** Ends the VM now; one that does not run or exist is fine. */
  readonly destroy: (name: string, signal: AbortSignal) => Promise<void>;
  /** Forgets the domain, QEMU's log of it, and what libvirt has left of it after a crash or a reboot; one that does not exist is fine. */
  readonly undefine: (name: string, signal: AbortSignal) => Promise<void>;
}

const { domainCreateFlag, domainUndefineFlag } = libvirtNumbers;

/** nvram, TPM state and saved memory go with the definition, or libvirt would refuse to forget it. */
const undefineFlags = domainUndefineFlag.managedSave | domainUndefineFlag.snapshotsMetadata | domainUndefineFlag.nvram;

/** Every step looks the domain up and leaves alone what is not ours. */
export function makeLifeCycle({ client, readiness, runDir, logDir, libDir, log }: LifeCycleParts): LifeCycle {
  const { domains } = client.control;

  async function existing(name: string, signal: AbortSignal): Promise<FoundVm> {
    const vm = await findVm(client.query, name, signal);
    if (!vm) throw vmFailed(name, 'libvirt has no such domain of vmlet');
    return vm;
  }

  /** Does something to a VM if there is one; one that goes meanwhile is fine. */
  async function ifThere(name: string, signal: AbortSignal, act: (vm: FoundVm) => Promise<void>): Promise<void> {
    await told(name, async () => {
      const vm = await findVm(client.query, name, signal);
      if (!vm) return;
      await act(vm).catch((error: unknown) => {
        if (!isGone(error)) throw error;
      });
    });
  }

  return {
    define: async (spec, signal) =>
      told(spec.name, async () => {
        const probed = readiness.probed();
        if (!probed) throw unavailable(readiness.condition().message);
        await domains.define(domainXml(spec, probed.host, await diskCache(spec)), 0, signal);
      }),

    startPaused: async (name, oomScoreAdj, signal) =>
      told(name, async () => {
        const { domain } = await existing(name, signal);
        try {
          await domains.create(domain, domainCreateFlag.paused, signal);
        } catch (error) {
          throw isLibvirtError(error) ? vmFailed(name, reasonOf(error), error, await qemuLogTail(logDir, name)) : error;
        }
        const pid = await qemuPid(runDir, name);
        if (pid === undefined) throw vmFailed(name, 'QEMU ended as soon as it was started', undefined, await qemuLogTail(logDir, name));
        await setOomScore(pid, oomScoreAdj, log);
        return { pid, vcpuTids: await vcpuThreads(pid) };
      }),

    resume: async (name, signal) => told(name, async () => domains.resume((await existing(name, signal)).domain, signal)),

    requestShutdown: async (name, signal) =>
      ifThere(name, signal, async ({ domain, state }) => {
        if (state !== 'off') await requestShutdown(client.control, domain, signal);
      }),

    destroy: async (name, signal) =>
      ifThere(name, signal, async ({ domain, state }) => {
        if (state === 'off') return;
        await domains.destroy(domain, 0, signal).catch((error: unknown) => {
          if (!isWrongState(error)) throw error; // it ended by itself meanwhile
        });
      }),

    undefine: async (name, signal) => {
      await ifThere(name, signal, async ({ domain }) => domains.undefine(domain, undefineFlags, signal));
      await removeQemuLog(logDir, name);
      if (libDir !== undefined) await removeRemains({ libDir, runDir }, name);
    },
  };
}

async function told<T>(name: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asVmletError(error, name);
  }
}
