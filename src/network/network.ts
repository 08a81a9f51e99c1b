import { isAlive } from '../lib/helper-process.ts';
import type { Condition } from '../model/condition.ts';
import type { NetworkAttachment } from '../model/network.ts';
import type { SandboxMetadata } from '../model/sandbox.ts';
import type { NicCounters } from '../model/statistics.ts';
import type { AttachRequest } from './attach-request.ts';
import { attach } from './attach.ts';
import { collectGarbage } from './cni/gc.ts';
import { hasGc } from './cni/cni.ts';
import { readCounters } from './links/counters.ts';
import { watchDhcp } from './dhcp/watch.ts';
import { joinTap, makeTap, removeTap, removeTaps, type TapRequest } from './links/joint.ts';
import type { NetworkOptions } from './network-options.ts';
import { openParts, type NetworkDeps } from './open-parts.ts';
import { adopt, recover, reloadFilter, reloadFilters } from './recovery.ts';
import { isLeftToBackground, release } from './teardown.ts';
import { makeTurns } from './turns.ts';

export type { NetworkOptions } from './network-options.ts';
export type { AttachRequest } from './attach-request.ts';
export type { TapRequest } from './links/joint.ts';
export { networkAnnotations } from './cni/capabilities.ts';

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
  /** Whose network it is, as recorded before it was made; `undefined` for an unknown sandbox. */
  readonly metadata: (sandboxId: string) => SandboxMetadata | undefined;
  /** True while the sandbox's netns exists (after a reboot of the node it does not). */
  readonly isAlive: (sandboxId: string) => Promise<boolean>;
  /**
   * Puts the CNI's interface back, CNI DEL, ends DHCP, removes the netns and the record. Complete also when some of it is gone already. What
   * fails is tried again in the background; after three failures it is left there, and calls succeed. Errors: CNI_FAILED.
   */
  readonly detach: (sandboxId: string, signal: AbortSignal) => Promise<void>;
  /**
   * Makes the VM's taps in the host's namespace, for those of its interfaces that are no devices; owned by the VM's uid, down. Leftovers of
   * the same names are replaced.
   */
  readonly makeTap: (request: TapRequest, signal: AbortSignal) => Promise<void>;
  /**
   * Moves the VM's taps, named after the first, into the pod's netns and each on a bridge with the CNI's interface, whose address and MAC
   * now belong to the guest, and starts DHCP. To be called while the VM is paused; answers when DHCP is ready. May be called again, after an
   * error or a kill at any point, with the same tap or with that of the sandbox's next VM.
   */
  readonly joinTap: (sandboxId: string, tap: string, signal: AbortSignal) => Promise<void>;
  /** The process that serves a sandbox's network beside the VM (its DHCP server), by its record; `undefined` when none lives. */
  readonly helperPid: (sandboxId: string) => number | undefined;
  /** Tells of each sandbox whose helper has died and been replaced. The listener must return at once. Answers a function that unsubscribes. */
  readonly onHelperReplaced: (listener: (sandboxId: string) => void) => () => void;
  /**
   * Counters of the guest's interfaces as the guest sees them, read without entering the netns; `undefined` when no VM is joined. Those that
   * the guest has as devices have none.
   */
  readonly counters: (sandboxId: string) => Promise<readonly NicCounters[] | undefined>;
  /**
   * Removes the VM's taps from wherever they are; those that are gone are fine. Ends DHCP too, and brings interfaces that the VM had as devices
   * back into the pod's netns, unless another tap has been joined meanwhile: that of a newer VM. The CNI's other interfaces stay on their
   * bridges until `detach`.
   */
  readonly removeTap: (sandboxId: string, tap: string, signal: AbortSignal) => Promise<void>;
  /**
   * After a start of the daemon: adopts or restarts DHCP of sandboxes in `live`, and releases all others that are recorded. Not waited for
   * are releases that take long, new filters for running VMs, and the plugins' collection of garbage, which is due once there is a network
   * that has it: these go on in the background.
   * `live` maps sandbox ids to the tap of their running VM, if any.
   */
  readonly recover: (live: ReadonlyMap<string, string | undefined>, signal: AbortSignal) => Promise<void>;
  /** What `recover` does for a running VM, for one that is known to run only later: libvirt was away at the daemon's start. */
  readonly adopt: (sandboxId: string, tap: string, signal: AbortSignal) => Promise<void>;
  /** Stops following the configuration directory and what runs in the background; everything that was made stays. */
  readonly close: () => void;
}

/**
 * Opens the records and begins to follow the CNI configuration. Whether that is usable is `condition`'s matter, not an error here.
 */
export async function makeNetwork(options: NetworkOptions, deps: NetworkDeps): Promise<Network> {
  const { dhcpWatchMs = 1_000, releasePatienceMs = 15_000 } = options;
  const turns = makeTurns();
  const { parts, close } = await openParts(options, turns, deps);
  const { records, namespaces, directory, closing } = parts;
  const listeners = new Set<(sandboxId: string) => void>();
  const replaced = (sandboxId: string): void => listeners.forEach((listener) => listener(sandboxId));
  const watch = watchDhcp({ periodMs: dhcpWatchMs, longestPauseMs: 60_000 }, { parts, turn: turns.ofSandbox, replaced });

  async function joinAndWatch(sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
    await joinTap(parts, sandboxId, tap, signal);
    watch.begin(sandboxId);
  }

  async function adoptRunning(sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
    await adopt(parts, sandboxId, tap, signal);
    await reloadFilter(parts, sandboxId, tap, signal);
  }

  async function removeUnwatched(sandboxId: string, tap: string, signal: AbortSignal): Promise<void> {
    if (records.get(sandboxId)?.joint?.tap === tap) watch.end(sandboxId);
    await removeTap(parts, sandboxId, tap, signal);
  }

  /** Once: as soon as there is a network that has GC and can be used, with what is on record then. */
  async function collectOnce(): Promise<void> {
    for (let isDone = false; !isDone;) {
      await directory.whenUsable(hasGc, closing);
      isDone = await turns.alone(async () => collectGarbage(parts, AbortSignal.any([closing, AbortSignal.timeout(gcTimeoutMs)])));
    }
  }

  async function recoverAll(live: ReadonlyMap<string, string | undefined>, signal: AbortSignal): Promise<void> {
    await recover(parts, { live, releasePatienceMs, turn: turns.ofSandbox }, signal);
    for (const [sandboxId, tap] of live) if (tap !== undefined) watch.begin(sandboxId);
    void reloadFilters(parts, { live, turn: turns.ofSandbox }, closing);
    void collectOnce().catch(() => undefined); // closed before there was one
  }

  return {
    condition: directory.condition,
    attach: async (request, signal) => turns.withPlugins(request.sandboxId, async () => attach(parts, request, signal), signal),
    attachment: (sandboxId) => records.get(sandboxId)?.added?.attachment,
    metadata: (sandboxId) => records.get(sandboxId)?.subject.metadata,
    isAlive: async (sandboxId) => {
      const record = records.get(sandboxId);
      return record !== undefined && namespaces.isAlive(record.netnsPath);
    },
    detach: async (sandboxId, signal) => {
      watch.end(sandboxId);
      if (isLeftToBackground(parts, sandboxId)) return; // its lock may be held by a plugin that hangs
      await turns.withPlugins(sandboxId, async () => release(parts, sandboxId, signal), signal);
    },
    makeTap,
    joinTap: async (sandboxId, tap, signal) => turns.ofSandbox(sandboxId, async () => joinAndWatch(sandboxId, tap, signal), signal),
    helperPid: (sandboxId) => {
      const helper = records.get(sandboxId)?.dhcp;
      return helper && isAlive(helper) ? helper.pid : undefined;
    },
    counters: async (sandboxId) => readCounters(records.get(sandboxId)),
    removeTap: async (sandboxId, tap, signal) => {
      if (isLeftToBackground(parts, sandboxId)) return removeTaps(parts, records.get(sandboxId), tap, signal); // as above
      await turns.ofSandbox(sandboxId, async () => removeUnwatched(sandboxId, tap, signal), signal);
    },
    onHelperReplaced: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    recover: recoverAll,
    adopt: async (sandboxId, tap, signal) => {
      watch.begin(sandboxId); // also where something fails: a server that is dead is tried again
      await turns.ofSandbox(sandboxId, async () => adoptRunning(sandboxId, tap, signal), signal);
    },
    close: () => {
      watch.close();
      close();
    },
  };
}

/** Calls that need plugins wait for GC, and the kubelet for its calls: all plugins together have so long, milliseconds. */
const gcTimeoutMs = 30_000;
