import type { Cgroups } from '../cgroup/cgroup.ts';
import type { Guest } from '../guest/guest.ts';
import type { GuestReports, Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Images } from '../images/images.ts';
import type { KeyedMutex } from '../lib/keyed-mutex.ts';
import type { Log } from '../lib/log.ts';
import type { ConsoleLog, Logs } from '../logs/logs.ts';
import type { Network } from '../network/network.ts';
import type { OpenRecords } from '../records/records.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { GuestReport } from '../model/container.ts';
import type { Clock } from './clock.ts';
import type { SizingOptions } from './sizing.ts';
import type { PodStore } from './store.ts';
import type { Uids } from './uids.ts';

/** The rooms that pods are made with, by their front doors. */
export interface PodsDeps {
  readonly hypervisor: Hypervisor;
  readonly cgroups: Cgroups;
  readonly images: Images;
  readonly network: Network;
  readonly volumes: Volumes;
  readonly guest: Guest;
  readonly logs: Logs;
  readonly log: Log;
  readonly openRecords?: OpenRecords;
}

/** A guest's reports being listened to, and the newest one. */
export interface FollowedReports {
  readonly port: GuestReports;
  readonly latest: () => GuestReport | undefined;
}

/** Options of the room; bytes and milliseconds. */
export interface PodsOptions {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly uidRange: { readonly first: number; readonly count: number };
  /** Sizes by configuration; what `overheadBytes` answers may depend on the accelerator, which is known only after a while. */
  readonly sizing: SizingOptions;
  /** How often the guest is asked again to shut down. */
  readonly shutdownRepeatMs: number;
  /** How often statistics are taken; the default is a little less than a kubelet's 10 s. */
  readonly statisticsPeriodMs?: number;
  /** How long something is kept that was made for a caller who had gone, and whom nobody has asked for since; default 10 min. */
  readonly unclaimedMs?: number;
  /** The node's boot id (proc(5)). */
  readonly bootId: string;
}

/**
 * What the use cases share. LOCK ORDER: a use case holds at most one lock, its sandbox's (`locks`, keyed by sandbox id); nothing is
 * awaited under it that waits for another use case of the same sandbox. Functions named `...Locked` are called with it held.
 */
export interface PodsContext extends PodsDeps {
  readonly options: PodsOptions;
  readonly store: PodStore;
  readonly locks: KeyedMutex;
  readonly clock: Clock;
  readonly uids: Uids;
  /** Consoles being followed, by container id. */
  readonly consoles: Map<string, ConsoleLog>;
  /** Guests' reports being listened to, by container id. */
  readonly reports: Map<string, FollowedReports>;
}

/** Longest run of one use case that nobody waits for any more; the work of a kubelet's call goes on after its deadline. */
export const useCaseTimeoutMs = 240_000;
