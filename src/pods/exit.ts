import type { Exit, GuestReport } from '../model/container.ts';

/** What is known of a VM's end. */
export interface EndFacts {
  /** libvirt's account; `lost`: nobody saw it end. */
  readonly cause: 'shutdown' | 'destroyed' | 'crashed' | 'panicked' | 'failed' | 'lost';
  /** OOM kills in the VM's cgroup leaf: libvirt cannot tell an OOM kill from a crash. */
  readonly oomKills: number;
  /** Why vmlet destroyed it, if it did. */
  readonly destroyedBecause: string | undefined;
  /** What the guest said of its end. */
  readonly report: GuestReport | undefined;
  /** The node was rebooted since the VM started. */
  readonly rebooted: boolean;
  /** The end of QEMU's log. */
  readonly hypervisorLog: string;
  /** Unix time in nanoseconds, the best that is known. */
  readonly atNs: bigint;
}

/** 128 + SIGKILL, as containers report it. */
const killed = 137;

/** Exit code, reason and message of a VM's end, in containerd's words, so that users and Jobs read them as they do for containers. */
export function exitOf(facts: EndFacts): Exit {
  const finishedAtNs = facts.atNs;
  switch (facts.cause) {
    case 'shutdown':
      return { ...ofGuest(facts), finishedAtNs };
    case 'destroyed':
      return { exitCode: killed, reason: 'Error', message: facts.destroyedBecause ?? 'the VM was destroyed', finishedAtNs };
    case 'panicked':
      return { exitCode: 134, reason: 'Error', message: 'guest panicked', finishedAtNs };
    case 'crashed':
    case 'failed':
      if (facts.oomKills > 0) return { exitCode: killed, reason: 'OOMKilled', message: 'killed by the memory limit', finishedAtNs };
      return { ...ofHypervisor(facts.hypervisorLog), finishedAtNs };
    case 'lost':
      return {
        exitCode: 255,
        reason: 'Unknown',
        message: facts.rebooted ? 'node rebooted' : 'the end of the VM was not observed',
        finishedAtNs,
      };
  }
}

/** A guest that powered off: 0, or the code that it reported. Its message is the termination message, not vmlet's. */
function ofGuest({ report, hypervisorLog }: EndFacts): Omit<Exit, 'finishedAtNs'> {
  const signal = signalIn(hypervisorLog);
  if (signal !== undefined) return { exitCode: 128 + signal, reason: 'Error', message: `QEMU was ended by signal ${signal}` };
  const exitCode = report?.exitCode ?? 0;
  return { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', message: '' };
}

/** QEMU ended by itself. A signal that it could not catch leaves no word of QEMU's own behind: mostly SIGKILL. */
function ofHypervisor(log: string): Omit<Exit, 'finishedAtNs'> {
  const own = log.split('\n').filter((line) => line !== '' && !/^[0-9-]+ [0-9:.+]+: (starting up|shutting down)/.test(line));
  const message = `QEMU ended unexpectedly: ${own.length > 0 ? own.join('\n') : 'without a word, as when it is killed'}`;
  const signal = own.length === 0 ? 9 : (signalIn(log) ?? (/Assertion .* failed|\baborting\b/i.test(log) ? 6 : undefined));
  return { exitCode: signal === undefined ? 1 : 128 + signal, reason: 'Error', message };
}

/** The signal that QEMU says it was ended by. libvirt's own is none: with it libvirt ends the QEMU of a guest that has powered off. */
function signalIn(log: string): number | undefined {
  const [, signal, sender = ''] = /terminating on signal ([0-9]+)(?: from pid [0-9]+ \(([^)]*)\))?/.exec(log) ?? [];
  return signal === undefined || /libvirtd|virtqemud/.test(sender) ? undefined : Number(signal);
}
/** The exit of a container whose VM could not be started: containerd's numbers. */
export function startFailed(message: string, finishedAtNs: bigint): Exit {
  return { exitCode: 128, reason: 'StartError', message, finishedAtNs };
}
