import { isIPv4 } from 'node:net';
import { parseListen } from '../config/config.ts';
import type { Log } from '../lib/log.ts';
import type { Metrics, MetricsServer, NodeState } from '../metrics/metrics.ts';
import { readyCondition, type Condition } from '../model/condition.ts';
import type { Parts } from './compose.ts';

/** Where the daemon is in its life. */
export interface Phase {
  readonly condition: () => Condition;
  /** The CRI socket is about to be opened: what was read before belongs to the boot. */
  readonly opening: () => void;
  readonly serving: () => void;
}

/** Starting, until told otherwise; not serving any more once `stop` aborts. */
export function makePhase({ records }: Metrics, stop: AbortSignal): Phase {
  let isServing = false;
  return {
    condition: () => {
      if (stop.aborted) return { ready: false, reason: 'Stopping', message: 'the daemon stops' };
      return isServing ? readyCondition : { ready: false, reason: 'Starting', message: 'the CRI socket is not open yet' };
    },
    opening: records.serving,
    serving: () => {
      isServing = true;
    },
  };
}

/** Serves metrics at `listen` (configuration key `metrics.listen`); nothing when that is `off`. Answers after the first attempt. */
export async function startMetrics(listen: string, metrics: Metrics, state: NodeState, log: Log): Promise<MetricsServer | undefined> {
  const address = parseListen(listen);
  if (!address || address === 'off') return undefined;
  if (!isLoopback(address.host)) log.warn({ ...address }, 'metrics are offered beyond this machine, without authentication');
  return metrics.serve(address, state, { log });
}

/** What the metrics look up in the rooms. */
export function nodeStateOf({ hypervisor, images, pods, cri }: Parts, phase: Phase): NodeState {
  return {
    conditions: () => ({
      RuntimeReady: cri.runtime.runtimeCondition(),
      NetworkReady: cri.runtime.networkCondition(),
      Serving: phase.condition(),
    }),
    sandboxes: pods.sandboxes,
    containers: pods.containers,
    accelerator: hypervisor.accelerator,
    imageStoreBytes: () => images.usage().usedBytes,
    imageCount: () => images.list().length,
  };
}

function isLoopback(host: string): boolean {
  return isIPv4(host) ? host.startsWith('127.') : host === '::1';
}
