import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../lib/log.ts';
import { abandonOnAbort } from '../lib/signals.ts';
import type { LibvirtClient } from '../libvirt/libvirt.ts';
import type { Condition } from '../model/condition.ts';
import { reasonOf } from './failures.ts';
import { probe, type Probe, type ProbeOptions } from './probe.ts';

/** Whether VMs can be had now, and what was found out about the host. */
export interface Readiness {
  readonly condition: () => Condition;
  /** The last successful probe; kept while libvirt is away. */
  readonly probed: () => Probe | undefined;
  /** Resolves when the first probe has ended, well or not; rejects with the signal's reason. */
  readonly settled: (signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

const retryMs = 10_000;

/** Probes at the first connection, and again while that fails. After a reconnection the facts hold on: QEMU is the same until it is upgraded. */
export function watchReadiness(options: ProbeOptions, client: LibvirtClient, deps: { readonly log: Log }): Readiness {
  const { log } = deps;
  const closed = new AbortController();
  const first = Promise.withResolvers<void>();
  let lost: string | undefined = 'libvirt is not connected yet';
  let found: Probe | undefined;
  let failure: string | undefined;
  let isProbing = false;

  async function probeUntilFound(): Promise<void> {
    if (isProbing || found) return;
    isProbing = true;
    while (!found && lost === undefined && !closed.signal.aborted) {
      try {
        found = await probe(options, client.control, closed.signal);
        failure = undefined;
        if (found.warning === '') log.info(found.host, 'VMs run with KVM');
        else log.warn({ ...found.host, warning: found.warning }, 'VMs are emulated');
      } catch (error) {
        failure = reasonOf(error);
        log.error({ error: failure }, 'the hypervisor cannot be probed');
      }
      first.resolve();
      if (!found) await delay(retryMs, undefined, { signal: closed.signal, ref: false }).catch(() => undefined);
    }
    isProbing = false;
  }

  const stopListening = [
    client.on('connected', () => {
      lost = undefined;
      void probeUntilFound();
    }),
    client.on('disconnected', (error) => {
      lost = reasonOf(error);
      log.warn({ error: lost }, 'libvirt is away');
    }),
  ];

  return {
    condition: () => {
      if (lost !== undefined) return { ready: false, reason: 'LibvirtUnavailable', message: `libvirt cannot be reached: ${lost}` };
      if (failure !== undefined) return { ready: false, reason: 'HypervisorUnusable', message: failure };
      if (!found) return { ready: false, reason: 'HypervisorProbing', message: 'QEMU is being probed' };
      return { ready: true, reason: '', message: found.warning };
    },
    probed: () => found,
    settled: async (signal) => abandonOnAbort(first.promise, signal),
    close: () => {
      closed.abort();
      for (const stop of stopListening) stop();
    },
  };
}
