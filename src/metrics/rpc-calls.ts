import type { MetricsRegistry } from './registry.ts';

/** Told of calls of the CRI. */
export interface RpcMetrics {
  readonly started: (method: string) => void;
  /** `code` is gRPC's name, such as `OK` or `NOT_FOUND`. */
  readonly ended: (method: string, code: string, seconds: number) => void;
  /** True while a list or status call is being answered. */
  readonly isReading: () => boolean;
}

/** From an answer out of memory (1 ms) to the longest use case (`useCaseTimeoutMs` of pods). */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 240];

/** Counts calls of the CRI by their method's name. */
export function makeRpcMetrics(registry: MetricsRegistry): RpcMetrics {
  const calls = registry.counter({
    name: 'vmlet_rpc_calls_total',
    help: 'CRI calls that were answered, by method and gRPC status code. GetContainerEvents with RESOURCE_EXHAUSTED: a reader was too slow, and was cut off with the events it had not read.',
    labels: ['method', 'code'],
  });
  const duration = registry.histogram(
    {
      name: 'vmlet_rpc_duration_seconds',
      help: 'Time from the arrival of a CRI call to its status, by method. For a stream it is the life of the stream.',
      labels: ['method'],
    },
    secondsBuckets,
  );
  const inFlight = registry.gauge({
    name: 'vmlet_rpc_calls_in_flight',
    help: 'CRI calls under way, by method; open streams among them.',
    labels: ['method'],
  });
  let reading = 0;

  return {
    started: (method) => {
      inFlight.inc({ method });
      if (isRead(method)) reading += 1;
    },
    ended: (method, code, seconds) => {
      inFlight.dec({ method });
      if (isRead(method)) reading -= 1;
      calls.inc({ method, code });
      duration.observe({ method }, seconds);
    },
    isReading: () => reading > 0,
  };
}

/**
 * True for unary methods that only look: the kubelet calls them all the time, and they answer from memory. Streams are left out, since they
 * wait for their readers.
 */
export function isRead(method: string): boolean {
  return /^List|Status$|Stats$|^Version$|^ImageFsInfo$|^RuntimeConfig$/.test(method);
}
