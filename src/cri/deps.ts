import type { Log } from '../lib/log.ts';
import type { Condition } from '../model/condition.ts';
import type { Images } from '../images/images.ts';
import type { Pods } from '../pods/pods.ts';

/** Space in use on a file system, sampled. */
export interface Space {
  /** An existing directory on it. */
  readonly mountpoint: string;
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

/** What the CRI needs to know of the runtime as a whole. */
export interface RuntimeFacts {
  readonly runtimeCondition: () => Condition;
  readonly networkCondition: () => Condition;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  /** What VMs' root disks and other files take. */
  readonly rootDiskSpace: () => Space;
  /** For `Status` with verbose: plain data, without secrets. */
  readonly info: () => object;
}

/** The rooms that the CRI speaks for. */
export interface CriDeps {
  readonly pods: Pods;
  readonly images: Images;
  readonly runtime: RuntimeFacts;
  readonly log: Log;
}
