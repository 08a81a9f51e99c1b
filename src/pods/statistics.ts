import { dirname } from 'node:path';
import { abandonOnAbort } from '../lib/signals.ts';
import type { Container } from '../model/container.ts';
import { VmletError } from '../model/errors.ts';
import type { Sandbox } from '../model/sandbox.ts';
import type { ContainerSample, ContainerStatistics, SandboxSample, SandboxStatistics } from '../model/statistics.ts';
import type { PodsContext } from './context.ts';
import { vmPaths } from './layout.ts';
import { makeSampler } from './sampler.ts';

/**
 * What pods use. Answers from memory, without a lock and without libvirt; only for the moment between a VM's start, or the daemon's, and
 * the end of the first sample a call waits for that one: a kubelet would take a VM without numbers for one that has used nothing.
 */
export interface Statistics {
  /** Of a RUNNING container by id or unique prefix. Errors: NOT_FOUND, WRONG_STATE, INVALID for an ambiguous prefix. */
  readonly container: (idOrPrefix: string) => Promise<ContainerStatistics>;
  /** Of all RUNNING containers, oldest first. A record that cannot be read is no reason to answer nothing of the others. */
  readonly containers: () => Promise<readonly ContainerStatistics[]>;
  /** Of a READY sandbox by id or unique prefix. Errors: NOT_FOUND, WRONG_STATE, INVALID for an ambiguous prefix. */
  readonly sandbox: (idOrPrefix: string) => Promise<SandboxStatistics>;
  /** Of all READY sandboxes, oldest first. */
  readonly sandboxes: () => Promise<readonly SandboxStatistics[]>;
}

/** Statistics with their life in the daemon. */
export interface StatisticsService extends Statistics {
  /** Begins to take the first samples in the background, and from then on one each period. */
  readonly start: () => void;
  /** Samples one sandbox in the background: a VM of it has just started. */
  readonly begin: (sandboxId: string) => void;
  readonly stop: () => Promise<void>;
}

/**
 * A little less than the 10 s after which a kubelet asks again: it derives CPU rates from two answers, and takes two with the same time
 * for an error (kubelet, cri_stats_provider.go).
 */
const defaultPeriodMs = 8_000;
const atOnce = 4;
/** Reads of control groups and /proc take milliseconds; who waits longer than this is answered without numbers. */
const longestWaitMs = 2_000;

/** Makes the statistics over the records; nothing is sampled yet. */
export function makeStatistics(context: PodsContext): StatisticsService {
  const { store, options, log } = context;
  const containerSamples = new Map<string, ContainerSample>();
  const sandboxSamples = new Map<string, SandboxSample>();

  const running = (): Container[] => [...store.containers.all().values()].filter(isRunning).toSorted(byAge);
  const ready = (): Sandbox[] => [...store.sandboxes.all().values()].filter(isReady).toSorted(byAge);

  function sampled(): ReadonlySet<string> {
    forget(containerSamples, running());
    forget(sandboxSamples, ready());
    return new Set([...ready().map(({ id }) => id), ...running().map(({ sandboxId }) => sandboxId)]);
  }

  async function sample(sandboxId: string): Promise<void> {
    const container = store.containersOf(sandboxId).find(isRunning);
    const atNs = BigInt(Date.now()) * 1_000_000n;
    const [ofPod, ofVm] = await Promise.all([samplePod(context, sandboxId, atNs), container && sampleVm(context, container, atNs)]);
    sandboxSamples.set(sandboxId, ofPod);
    if (container && ofVm) containerSamples.set(container.id, ofVm);
  }

  const sampler = makeSampler({ periodMs: options.statisticsPeriodMs ?? defaultPeriodMs, atOnce }, { keys: sampled, sample, log });

  /** Resolves when the pass at the start is over, or has taken too long. */
  let firstPass: Promise<void> = Promise.resolve();

  async function firstSamples(containers: () => readonly Container[]): Promise<void> {
    await firstPass;
    const without = containers().filter(({ id }) => !containerSamples.has(id));
    const waiting = without.flatMap(({ sandboxId }) => sampler.underWay(sandboxId) ?? []);
    if (waiting.length === 0) return;
    await abandonOnAbort(Promise.all(waiting), AbortSignal.timeout(longestWaitMs)).catch(() => undefined);
  }

  const withSample = (container: Container): ContainerStatistics => {
    const found = containerSamples.get(container.id);
    return { container, ...(found ? { sample: found } : {}) };
  };
  const ofSandbox = (sandbox: Sandbox, containers: readonly Container[]): SandboxStatistics => {
    const found = sandboxSamples.get(sandbox.id);
    const own = containers.filter(({ sandboxId }) => sandboxId === sandbox.id).map(withSample);
    return { sandbox, ...(found ? { sample: found } : {}), containers: own };
  };

  return {
    container: async (idOrPrefix) => {
      const { id } = store.container(idOrPrefix);
      await firstSamples(() => [store.container(id)]);
      const container = store.container(id);
      if (!isRunning(container)) throw notNow('container', container, 'RUNNING');
      return withSample(container);
    },
    containers: async () => {
      await firstSamples(running);
      return running().map(withSample);
    },
    sandbox: async (idOrPrefix) => {
      const { id } = store.sandbox(idOrPrefix);
      await firstSamples(() => store.containersOf(id).filter(isRunning));
      const sandbox = store.sandbox(id);
      if (!isReady(sandbox)) throw notNow('sandbox', sandbox, 'READY');
      return ofSandbox(sandbox, running());
    },
    sandboxes: async () => {
      await firstSamples(running);
      const containers = running();
      return ready().map((sandbox) => ofSandbox(sandbox, containers));
    },
    start: () => {
      firstPass = abandonOnAbort(sampler.start(), AbortSignal.timeout(longestWaitMs)).catch(() => undefined);
    },
    begin: sampler.begin,
    stop: sampler.stop,
  };
}

async function sampleVm(context: PodsContext, container: Container, atNs: bigint): Promise<ContainerSample | undefined> {
  const { cgroups, volumes, options, store } = context;
  const parent = store.sandboxes.get(container.sandboxId)?.config.cgroupParent ?? '';
  const { dir, rootDisk, seed } = vmPaths(options.stateDir, options.runtimeDir, container.id);
  // The directory above is told, since a kubelet looks at it later, when the VM and its own may be gone.
  const [usage, files] = await Promise.all([cgroups.usage(parent, container.id), volumes.usage(dirname(dir), [rootDisk, seed])]);
  return usage && { atNs, usage, files };
}

async function samplePod({ cgroups, network, store }: PodsContext, sandboxId: string, atNs: bigint): Promise<SandboxSample> {
  const parent = store.sandboxes.get(sandboxId)?.config.cgroupParent ?? '';
  const [usage, nics] = await Promise.all([cgroups.podUsage(parent), network.counters(sandboxId)]);
  return { atNs, ...(usage ? { usage } : {}), ...(nics ? { nics } : {}) };
}

function isRunning({ state }: Container): boolean {
  return state === 'RUNNING';
}

function isReady({ state }: Sandbox): boolean {
  return state === 'READY';
}

function byAge(a: Sandbox | Container, b: Sandbox | Container): number {
  return a.createdAtNs < b.createdAtNs ? -1 : 1;
}

function forget(samples: Map<string, unknown>, present: readonly { readonly id: string }[]): void {
  const ids = new Set(present.map(({ id }) => id));
  for (const id of samples.keys()) if (!ids.has(id)) samples.delete(id);
}

function notNow(kind: 'sandbox' | 'container', { id, state }: Sandbox | Container, wanted: string): VmletError {
  return new VmletError({ code: 'WRONG_STATE', kind, id, state }, `${kind} ${id} is ${state}; only a ${wanted} one has statistics`);
}
