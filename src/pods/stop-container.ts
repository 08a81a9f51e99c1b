import { withTimeout } from '../lib/signals.ts';
import { messageOf } from '../lib/errno.ts';
import { mayRun } from '../model/container.ts';
import type { PodsContext } from './context.ts';
import { recordEndLocked } from './end-of-vm.ts';

/** A stop under way: later calls join it, and a shorter grace period counts from then on. */
interface Stop {
  /** Moment of destruction, by the monotonic clock, in milliseconds. */
  deadlineMs: number;
  /** Wakes the stop that waits, for the guest's answer or its end, so that it sees a nearer deadline. */
  hurry: AbortController;
}

/** Stops under way, by container id. */
export type Stops = Map<string, Stop>;

/** Notes that a stop is wanted after `graceMs`; one under way is hurried if that is sooner. To be called before `stopContainer` is run or joined. */
export function requestStop(stops: Stops, id: string, graceMs: number): void {
  const deadlineMs = performance.now() + Math.max(0, graceMs);
  const running = stops.get(id);
  if (!running) stops.set(id, { deadlineMs, hurry: new AbortController() });
  else if (deadlineMs < running.deadlineMs) {
    running.deadlineMs = deadlineMs;
    running.hurry.abort();
  }
}

/**
 * StopContainer: asks the guest to power off, again and again, and destroys the VM when the grace period is over. The lock is not held
 * while waiting, so that a kill from another call is not kept out. Returns when EXITED is visible.
 */
export async function stopContainer(context: PodsContext, stops: Stops, id: string, signal: AbortSignal): Promise<void> {
  const { store } = context;
  try {
    const container = store.containers.get(id);
    if (!container) return;
    await waitForStart(context, container.sandboxId, signal);
    if (mayRun(store.containers.get(id)?.state)) await stopWithGrace(context, stops, id, signal);
  } finally {
    stops.delete(id);
  }
}

/** Destroys the VM at once and records its end; the sandbox's lock is held. */
export async function stopNowLocked(context: PodsContext, id: string, because: string, signal: AbortSignal): Promise<void> {
  const { store, hypervisor } = context;
  const container = store.containers.get(id);
  if (!container || !mayRun(container.state)) return;
  await hypervisor.destroy(container.vm.domainName, signal);
  const observed = await hypervisor.observe(container.vm.domainName, signal);
  // It may have powered off by itself in the last moment: then that is how it ended.
  await recordEndLocked(context, id, { cause: observed?.endCause ?? 'destroyed', destroyedBecause: because });
}

async function stopWithGrace(context: PodsContext, stops: Stops, id: string, signal: AbortSignal): Promise<void> {
  const { store, options, locks, hypervisor } = context;
  const container = store.containers.get(id);
  if (!container) return;
  // Whether an UNKNOWN one runs is not on record.
  const isOff = container.state === 'UNKNOWN' && (await hypervisor.observe(container.vm.domainName, signal))?.state === 'off';
  while (!isOff) {
    const stop = stops.get(id);
    const leftMs = (stop?.deadlineMs ?? 0) - performance.now();
    if (!stop || leftMs < 1) break; // a timer may fire a fraction of a millisecond early
    stop.hurry = new AbortController();
    const hurried = AbortSignal.any([signal, stop.hurry.signal]);
    await askGuest(context, container.vm.domainName, leftMs, hurried);
    signal.throwIfAborted();
    if (await endsWithin(context, id, Math.min(options.shutdownRepeatMs, stop.deadlineMs - performance.now()), hurried)) return;
    signal.throwIfAborted();
  }
  using _lock = await locks.lock(container.sandboxId, signal);
  await stopNowLocked(context, id, 'grace period exceeded', signal);
}

/** Whatever comes of it: the guest is asked again, or destroyed. */
async function askGuest(context: PodsContext, domainName: string, withinMs: number, signal: AbortSignal): Promise<void> {
  using within = withTimeout(signal, withinMs, 'asking the guest to shut down');
  try {
    await context.hypervisor.requestShutdown(domainName, within);
  } catch (error) {
    context.log.debug({ domain: domainName, error: messageOf(error) }, 'the guest could not be asked to shut down');
  }
}

/** False when the time has passed or `signal` has been aborted first. */
async function endsWithin(context: PodsContext, id: string, ms: number, signal: AbortSignal): Promise<boolean> {
  using timed = withTimeout(signal, Math.max(0, ms), 'the grace period');
  try {
    await context.store.ended(id, timed);
    return true;
  } catch (error) {
    if (timed.aborted) return false;
    throw error;
  }
}

/** A start under way holds the lock: whether there is anything to stop is known once it is done. */
async function waitForStart(context: PodsContext, sandboxId: string, signal: AbortSignal): Promise<void> {
  using _lock = await context.locks.lock(sandboxId, signal);
}
