import type { Exit } from '../model/container.ts';

/** What is known of a VM's end. */
export interface EndFacts {
  /** libvirt's account; `lost`: nobody saw it end. */
  readonly cause: 'shutdown' | 'destroyed' | 'crashed' | 'panicked' | 'failed' | 'lost';
  /** OOM kills in the VM's cgroup leaf: libvirt cannot tell an OOM kill from a crash. */
  readonly oomKills: number;
  /** Why vmlet destroyed it, if it did. */
  readonly destroyedBecause: string | undefined;
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
      return { exitCode: 0, reason: 'Completed', message: '', finishedAtNs };
    case 'destroyed':
      return { exitCode: killed, reason: 'Error', message: facts.destroyedBecause ?? 'the VM was destroyed', finishedAtNs };
    case 'panicked':
      return { exitCode: 134, reason: 'Error', message: 'guest panicked', finishedAtNs };
    case 'crashed':
    case 'failed':
      if (facts.oomKills > 0) return { exitCode: killed, reason: 'OOMKilled', message: 'killed by the memory limit', finishedAtNs };
      return { exitCode: 1, reason: 'Error', message: `QEMU ended unexpectedly: ${facts.hypervisorLog || 'no log'}`, finishedAtNs };
    case 'lost':
      return {
        exitCode: 255,
        reason: 'Unknown',
        message: facts.rebooted ? 'node rebooted' : 'the end of the VM was not observed',
        finishedAtNs,
      };
  }
}

/** The exit of a container whose VM could not be started: containerd's numbers. */
export function startFailed(message: string, finishedAtNs: bigint): Exit {
  return { exitCode: 128, reason: 'StartError', message, finishedAtNs };
}
