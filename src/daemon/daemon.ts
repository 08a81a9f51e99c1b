import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { startCriServer } from '../cri/cri.ts';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { vmletVersion } from '../lib/version.ts';
import { makeMetrics } from '../metrics/metrics.ts';
import { compose } from './compose.ts';
import type { Decorate } from './decorate.ts';
import { hooksOf } from './hooks.ts';
import { lockInstance } from './instance-lock.ts';
import { makeLogger } from './logger.ts';
import { reloadImages } from './reload.ts';
import { makePhase, nodeStateOf, startMetrics } from './metering.ts';

/** Longest wait for libvirtd and the probe of QEMU before recovery; Status then tells what is missing. */
const hypervisorWaitMs = 60_000;
const recoveryTimeoutMs = 300_000;
/** How long calls under way may take to end at a stop, milliseconds; their work is taken up by the kubelet's retry. */
const stopGraceMs = 5_000;

/** What an embedder may set; the daemon's own program sets nothing. */
export interface Variation {
  /** Stands before rooms as they are built. */
  readonly decorate?: Decorate;
  /** Default: the kernel's (proc(5), random/boot_id). */
  readonly bootId?: string;
  /** Calls its listener when the configuration's own files (mappings, policies) shall be read again, as SIGHUP asks. */
  readonly onReload?: (listener: () => void) => void;
}

/**
 * Runs the daemon until `stop` aborts. Boot order: lock, libvirtd, recovery, and the socket last, so that the first call finds the truth;
 * the end is the reverse. VMs, their networks and libvirtd live on. Throws when it cannot start.
 */
export async function runDaemon(config: Config, stop: AbortSignal, variation: Variation = {}): Promise<void> {
  const log = makeLogger(config.logLevel);
  log.info({ version: vmletVersion, pid: process.pid, node: process.version }, 'vmlet starts');
  await using ends = new AsyncDisposableStack();
  ends.use(await lockInstance(config.stateDir));
  const bootId = variation.bootId ?? (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const metrics = makeMetrics();
  const hooks = hooksOf(metrics);
  const phase = makePhase(metrics, stop);
  const parts = await compose(config, { bootId, log, hooks, decorate: variation.decorate });
  ends.defer(async () => ending(log, 'images', parts.images.close()));
  ends.use(parts.rootDisks);
  variation.onReload?.(() => void reloadImages(config, parts.images, log));
  ends.defer(() => parts.network.close());
  ends.defer(async () => ending(log, 'hypervisor', parts.hypervisor.close()));
  const metricsServer = await startMetrics(config.metrics.listen, metrics, nodeStateOf(parts, phase), log);
  ends.defer(async () => ending(log, 'metrics', Promise.resolve(metricsServer?.close())));
  try {
    await parts.hypervisor.start(hypervisorWaitMs, stop);
    ends.defer(async () => ending(log, 'pods', parts.pods.close(AbortSignal.timeout(stopGraceMs))));
    await parts.pods.recover(AbortSignal.any([stop, AbortSignal.timeout(recoveryTimeoutMs)]));
    await mkdir(dirname(config.socket), { recursive: true });
    phase.opening();
    const server = await startCriServer({ socketPath: config.socket }, parts.cri, hooks.calls);
    phase.serving();
    ends.defer(async () => ending(log, 'CRI server', server.stop(stopGraceMs)));
    // First of all: a pull that its caller's end cancels loses what has arrived, one that the daemon's end cancels keeps it.
    ends.defer(async () => ending(log, 'pulls', parts.images.close()));
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  if (!stop.aborted) {
    log.info({ socket: config.socket }, 'vmlet serves');
    await once(stop, 'abort');
  }
  log.info({ signal: String(stop.reason) }, 'vmlet stops');
}

/** One part that does not end well must not keep the others from ending. */
async function ending(log: Log, part: string, end: Promise<void>): Promise<void> {
  await end.catch((error: unknown) => log.error({ part, error: messageOf(error) }, 'did not end well'));
}
