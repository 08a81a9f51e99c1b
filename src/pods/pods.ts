import { join } from 'node:path';
import { makeKeyedMutex } from '../lib/keyed-mutex.ts';
import { abandonOnAbort } from '../lib/signals.ts';
import type { ContainerEvent } from '../model/container-event.ts';
import type { Container, ContainerConfig } from '../model/container.ts';
import { VmletError } from '../model/errors.ts';
import { sandboxKey, type LinuxResources, type Sandbox, type SandboxConfig } from '../model/sandbox.ts';
import { openRecords } from '../records/records.ts';
import { makeCalls } from './calls.ts';
import { makeClock } from './clock.ts';
import type { PodsContext, PodsDeps, PodsOptions } from './context.ts';
import { createContainer } from './create-container.ts';
import { parseContainer, parseSandbox, recordVersion } from './record-schema.ts';
import { reconcile, recover } from './recovery.ts';
import { removeContainer } from './remove-container.ts';
import { removeSandbox, stopSandbox } from './remove-sandbox.ts';
import { dropReports } from './reports.ts';
import { runSandbox } from './run-sandbox.ts';
import { startContainer } from './start-container.ts';
import { makeStatistics, type Statistics } from './statistics.ts';
import { requestStop, stopContainer, type Stops } from './stop-container.ts';
import { makePodStore } from './store.ts';
import { makeUids } from './uids.ts';
import { updateContainerResources, updateSandboxResources, type SandboxResources } from './update-resources.ts';
import { watchVms } from './watch.ts';

export type { PodsDeps, PodsOptions } from './context.ts';

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
  /** Keeps other resources for a sandbox; errors: NOT_FOUND. */
  readonly updateSandboxResources: (id: string, change: SandboxResources, signal: AbortSignal) => Promise<void>;
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
  /**
   * Changes what a VM may use, at once: CPU shares, quota and cpuset. What is 0 or empty stays. Errors: NOT_FOUND, WRONG_STATE unless
   * CREATED or RUNNING, INVALID for what is fixed at creation (memory, vCPUs).
   */
  readonly updateContainerResources: (id: string, change: LinuxResources, signal: AbortSignal) => Promise<void>;
  /** The container with this id or unique prefix. Throws NOT_FOUND, or INVALID for an ambiguous prefix. */
  readonly container: (idOrPrefix: string) => Container;
  /** All containers that callers may see, oldest first. Throws RECORDS_UNREADABLE rather than answer a shorter list. */
  readonly containers: () => readonly Container[];
  /** Tells of each change of a sandbox or container as soon as it is durable. The listener must return at once. Answers a function that unsubscribes. */
  readonly onContainerEvent: (listener: (event: ContainerEvent) => void) => () => void;
  /** What pods use, sampled in the background. */
  readonly statistics: Statistics;
  /** Opens the CRI log anew after the kubelet has renamed it; answers once new lines go to the new file. Errors: NOT_FOUND, WRONG_STATE unless RUNNING. */
  readonly reopenLog: (id: string, signal: AbortSignal) => Promise<void>;
}

/** Pods with their life in the daemon. */
export interface PodsService extends Pods {
  /** The run at boot: to be awaited before the first call. Also begins to watch libvirt's events. */
  readonly recover: (signal: AbortSignal) => Promise<void>;
  /** Lets what runs come to its end (until `signal` aborts), stops watching and following. VMs stay as they are. */
  readonly close: (signal: AbortSignal) => Promise<void>;
}

/** Opens the records and makes the room. */
export async function makePods(options: PodsOptions, deps: PodsDeps): Promise<PodsService> {
  const records = join(options.stateDir, 'records');
  const open = deps.openRecords ?? openRecords;
  const sandboxes = await open({ dir: join(records, 'sandboxes'), version: recordVersion, parse: parseSandbox });
  const containers = await open({ dir: join(records, 'containers'), version: recordVersion, parse: parseContainer });
  for (const record of [...sandboxes.unreadable, ...containers.unreadable]) deps.log.error(record, 'a record cannot be read');
  const store = makePodStore({ sandboxes, containers });
  const newest = [
    ...[...sandboxes.all().values(), ...containers.all().values()].map(({ createdAtNs }) => createdAtNs),
    ...[...sandboxes.unreadable, ...containers.unreadable].map(({ changedAtNs }) => changedAtNs),
  ].reduce((max, at) => (at > max ? at : max), 0n);
  const context: PodsContext = {
    ...deps,
    options,
    store,
    locks: makeKeyedMutex(),
    clock: makeClock(newest),
    uids: makeUids(options.uidRange, () =>
      store.containers
        .all()
        .values()
        .map(({ vm }) => vm.uid),
    ),
    consoles: new Map(),
    reports: new Map(),
  };
  const calls = makeCalls({ unclaimedMs: options.unclaimedMs ?? 600_000 }, { log: deps.log });
  const { claimed } = calls;
  const stops: Stops = new Map();
  const statistics = makeStatistics(context);
  const watch = watchVms(context, async (signal) => reconcile(context, signal));

  return {
    runSandbox: async (config, signal) => {
      const key = `run ${sandboxKey(config.metadata)}`;
      const undo = async (id: string, fresh: AbortSignal): Promise<void> => removeSandbox(context, id, fresh);
      return calls.make({ key, signal }, async (own) => runSandbox(context, config, own), undo);
    },
    stopSandbox: async (idOrPrefix, signal) => {
      const id = claimed(store.sandboxIdOf(idOrPrefix));
      if (id !== undefined) await calls.join({ key: `stop ${id}`, signal }, async (own) => stopSandbox(context, id, own));
    },
    removeSandbox: async (idOrPrefix, signal) => {
      const id = claimed(store.sandboxIdOf(idOrPrefix));
      if (id !== undefined) await calls.join({ key: `remove ${id}`, signal }, async (own) => removeSandbox(context, id, own));
    },
    updateSandboxResources: async (id, change, signal) => updateSandboxResources(context, id, change, signal),
    sandbox: (idOrPrefix) => claimed(store.sandbox(idOrPrefix)),
    sandboxes: store.visibleSandboxes,
    createContainer: async (sandboxId, config, signal) => {
      const { id } = claimed(store.sandbox(sandboxId));
      const key = `create ${JSON.stringify([id, config.name, config.attempt])}`;
      const undo = async (made: string, fresh: AbortSignal): Promise<void> => removeContainer(context, made, fresh);
      return calls.make({ key, signal }, async (own) => createContainer(context, id, config, own), undo);
    },
    startContainer: async (idOrPrefix, signal) => {
      const { id, sandboxId } = claimed(store.container(idOrPrefix));
      return calls.join({ key: `start ${id}`, signal }, async (own) => {
        await startContainer(context, id, own);
        statistics.begin(sandboxId);
      });
    },
    stopContainer: async (idOrPrefix, graceMs, signal) => {
      const id = claimed(store.containerIdOf(idOrPrefix));
      if (id === undefined) return;
      requestStop(stops, id, graceMs);
      await calls.join({ key: `end ${id}`, signal }, async (own) => stopContainer(context, stops, id, own), graceMs);
    },
    removeContainer: async (idOrPrefix, signal) => {
      const id = claimed(store.containerIdOf(idOrPrefix));
      if (id !== undefined) await calls.join({ key: `remove ${id}`, signal }, async (own) => removeContainer(context, id, own));
    },
    updateContainerResources: async (id, change, signal) => updateContainerResources(context, id, change, signal),
    container: (idOrPrefix) => claimed(store.container(idOrPrefix)),
    containers: store.visibleContainers,
    onContainerEvent: store.onEvent,
    statistics,
    reopenLog: async (idOrPrefix, signal) => reopenLog(context, idOrPrefix, signal),
    recover: async (signal) => {
      watch.start();
      await recover(context, signal);
      statistics.start();
    },
    close: async (signal) => {
      await abandonOnAbort(calls.settled(), signal).catch(() => undefined); // what is cut short, the next start mends
      await Promise.all([watch.stop(), statistics.stop()]);
      calls.close();
      for (const id of context.reports.keys()) dropReports(context, id);
      await Promise.all([...context.consoles.values()].map(async (console) => console.pause()));
    },
  };
}

async function reopenLog(context: PodsContext, idOrPrefix: string, signal: AbortSignal): Promise<void> {
  const container = context.store.container(idOrPrefix);
  const console = context.consoles.get(container.id);
  if (container.state === 'RUNNING' && console) return console.reopen(signal);
  const facts = { code: 'WRONG_STATE', kind: 'container', id: container.id, state: container.state } as const;
  throw new VmletError(facts, `container ${container.id} is ${container.state}, only the log of a RUNNING one can be opened anew`);
}
