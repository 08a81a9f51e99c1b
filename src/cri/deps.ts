import type { Log } from '../lib/log.ts';
import type { Condition } from '../model/condition.ts';
import type { Images } from '../images/images.ts';
import type { Pods } from '../pods/pods.ts';

/** What the CRI needs to know of the runtime as a whole. */
export interface RuntimeFacts {
  readonly runtimeCondition: () => Condition;
  readonly networkCondition: () => Condition;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
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
