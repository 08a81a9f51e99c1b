import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ObservedVm, VmEndCause, VmEvent, VmSpec } from '../../../src/hypervisor/hypervisor.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { abandonOnAbort } from '../../../src/lib/signals.ts';
import type { ContainerConfig, GuestReport } from '../../../src/model/container.ts';
import { VmletError } from '../../../src/model/errors.ts';
import type { Image } from '../../../src/model/image.ts';
import type { NetworkAttachment } from '../../../src/model/network.ts';
import type { SandboxConfig, SandboxMetadata } from '../../../src/model/sandbox.ts';
import { makePods, type PodsDeps, type PodsService } from '../../../src/pods/pods.ts';
import { tempDir } from '../../lib/temp.ts';
import { containerOf, fileUsage, leafUsage, sandboxOf } from './samples.ts';

/** What the rooms below pods were asked for, in order, and switches to make them misbehave. */
export interface World {
  readonly dir: string;
  readonly calls: string[];
  readonly vms: Map<string, { spec: VmSpec; state: ObservedVm['state']; endCause: VmEndCause | undefined }>;
  readonly attachments: Map<string, NetworkAttachment>;
  /** Whose they are, as the network's records tell. */
  readonly metadata: Map<string, SandboxMetadata>;
  readonly holds: Set<string>;
  /** Calls that fail, by name, with this error. */
  readonly failing: Map<string, Error>;
  /** Calls that wait, by name, until the promise resolves. */
  readonly holding: Map<string, Promise<void>>;
  /** True: a guest powers off when it is asked to. */
  obedient: boolean;
  /** Plays a guest that reports how it ends, by its report socket's path. */
  readonly report: Map<string, (report: GuestReport) => void>;
  /** Plays libvirt: the VM ends and the event is told. */
  readonly end: (name: string, cause: VmEndCause) => void;
  /** Plays libvirt that is connected, again or for the first time. */
  readonly connect: () => void;
  /** A daemon on this world; a second one is a restart. */
  readonly boot: (changes?: { readonly unclaimedMs?: number }) => Promise<PodsService>;
}

/** An in-memory world under a real state directory. */
export function makeWorld(): World {
  const dir = tempDir();
  const listeners = { events: new Set<(event: VmEvent) => void>(), connected: new Set<() => void>() };
  const world: World = {
    dir,
    calls: [],
    vms: new Map(),
    attachments: new Map(),
    metadata: new Map(),
    holds: new Set(),
    failing: new Map(),
    holding: new Map(),
    obedient: true,
    report: new Map(),
    end: (name, cause) => {
      const vm = world.vms.get(name);
      if (!vm || vm.state === 'off') return;
      Object.assign(vm, { state: 'off', endCause: cause });
      for (const listener of listeners.events) listener({ kind: 'stopped', name, cause, atNs: BigInt(Date.now()) * 1_000_000n });
    },
    connect: () => listeners.connected.forEach((listener) => listener()),
    boot: async (changes = {}) => {
      listeners.events.clear();
      listeners.connected.clear();
      const pods = await makePods(
        {
          ...changes,
          stateDir: join(dir, 'state'),
          runtimeDir: join(dir, 'run'),
          uidRange: { first: 100_000, count: 4 },
          sizing: { defaultCpus: 1, maxCpus: 4, defaultMemoryBytes: 2 ** 27, minMemoryBytes: 2 ** 24, overheadBytes: () => 2 ** 26 },
          shutdownRepeatMs: 20,
          bootId: 'boot-1',
        },
        depsOf(world, listeners),
      );
      await pods.recover(AbortSignal.timeout(10_000));
      onTestFinished(async () => pods.close(AbortSignal.abort()));
      return pods;
    },
  };
  return world;
}

interface Listeners {
  readonly events: Set<(event: VmEvent) => void>;
  readonly connected: Set<() => void>;
}

function depsOf(world: World, listeners: Listeners): PodsDeps {
  const called = async (name: string, detail = ''): Promise<void> => {
    world.calls.push(`${name}${detail && ` ${detail}`}`);
    await world.holding.get(name);
    const error = world.failing.get(name);
    if (error) throw error;
  };
  const vmOf = (name: string): { spec: VmSpec; state: ObservedVm['state']; endCause: VmEndCause | undefined } => {
    const vm = world.vms.get(name);
    if (!vm) throw new VmletError({ code: 'VM_FAILED', vm: name }, `no domain ${name}`);
    return vm;
  };
  const observed = (): ObservedVm[] =>
    [...world.vms.values()].map(({ spec, state, endCause }) => ({
      name: spec.name,
      uuid: spec.uuid,
      identity: spec.identity,
      state,
      endCause,
    }));
  return {
    log: silentLog,
    hypervisor: {
      condition: () =>
        world.failing.has('libvirt') ? { ready: false, reason: 'LibvirtUnavailable', message: 'libvirt is away' } : readyNow,
      accelerator: () => 'qemu',
      gid: 108,
      define: async (spec) => {
        await called('define', `${spec.vcpus} vCPU ${spec.memoryMiB} MiB`);
        world.vms.set(spec.name, { spec, state: 'off', endCause: undefined });
      },
      startPaused: async (name) => {
        await called('startPaused');
        vmOf(name).state = 'paused';
        return { pid: 4711, vcpuTids: [4712] };
      },
      resume: async (name) => {
        await called('resume');
        vmOf(name).state = 'running';
      },
      pidOf: async () => 4711,
      requestShutdown: async (name, signal) => {
        await abandonOnAbort(called('requestShutdown'), signal);
        if (world.obedient) world.end(name, 'shutdown');
      },
      destroy: async (name) => {
        await called('destroy');
        if (world.vms.has(name)) world.end(name, 'destroyed');
      },
      undefine: async (name) => {
        await called('undefine');
        world.vms.delete(name);
      },
      observe: async (name) => observed().find((vm) => vm.name === name),
      list: async () => {
        await called('list');
        return observed();
      },
      followReports: (socketPath, listener) => {
        world.report.set(socketPath, listener);
        return { heard: async () => called('heard reports'), close: () => void world.report.delete(socketPath) };
      },
      lastLogLines: async () => 'qemu: last words',
      onEvent: (listener) => {
        listeners.events.add(listener);
        return () => listeners.events.delete(listener);
      },
      onConnected: (listener) => {
        listeners.connected.add(listener);
        return () => listeners.connected.delete(listener);
      },
    },
    cgroups: {
      driver: 'cgroupfs',
      version: 1,
      makeLeaf: async (parent, _id, limits) => called('makeLeaf', `${parent} ${JSON.stringify(limits)}`),
      addMembers: async (_parent, _id, members) => called('addMembers', members.pids.join(',')),
      applyLimits: async (_parent, _id, limits) => called('applyLimits', JSON.stringify(limits)),
      oomKills: async () => 0,
      usage: async (parent) => {
        await called('usage', parent);
        return leafUsage;
      },
      podUsage: async () => ({}),
      parentOf: async () => podConfig.cgroupParent,
      removeLeaf: async () => called('removeLeaf'),
    },
    images: {
      pull: async () => image,
      find: (reference) => (reference === image.id ? image : undefined),
      list: () => [image],
      remove: async () => undefined,
      hold: (_imageId, containerId) => {
        world.holds.add(containerId);
        return image;
      },
      release: (_imageId, containerId) => void world.holds.delete(containerId),
      admitDisk: async () => {
        const failure = world.failing.get('admitDisk');
        if (failure) throw failure;
      },
      usage: () => ({ mountpoint: '/', usedBytes: 0, inodesUsed: 0 }),
    },
    network: {
      condition: () => readyNow,
      attach: async ({ sandboxId, metadata }) => {
        await called('attach');
        world.metadata.set(sandboxId, metadata);
        const attachment = { ...attachmentOf(sandboxId) };
        world.attachments.set(sandboxId, attachment);
        return attachment;
      },
      attachment: (sandboxId) => world.attachments.get(sandboxId),
      metadata: (sandboxId) => world.metadata.get(sandboxId),
      isAlive: async (sandboxId) => world.attachments.has(sandboxId),
      detach: async (sandboxId) => {
        await called('detach');
        world.attachments.delete(sandboxId);
        world.metadata.delete(sandboxId);
      },
      makeTap: async () => called('makeTap'),
      joinTap: async () => called('joinTap'),
      helperPid: () => 77,
      onHelperReplaced: () => () => undefined,
      counters: async () => undefined,
      removeTap: async () => called('removeTap'),
      recover: async (live) => called('recover network', [...live.keys()].join(',')),
      adopt: async (sandboxId, tap) => called('adopt network', `${sandboxId} ${tap}`),
      close: () => undefined,
    },
    volumes: {
      baseOf: async () => image.path,
      writeTerminationMessage: async (path, message) => called('termination message', `${path} ${message}`),
      makeRootDisk: async ({ path }) => {
        await called('makeRootDisk');
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, '');
      },
      usage: async (directory) => ({ ...fileUsage, filesystem: { ...fileUsage.filesystem, directory } }),
    },
    guest: { makeSeed: async ({ hostname }) => called('makeSeed', hostname) },
    logs: {
      follow: async () => {
        await called('follow log');
        return {
          reopen: async () => called('reopen log'),
          finish: async () => called('finish log'),
          pause: async () => called('pause log'),
        };
      },
    },
  };
}

const readyNow = { ready: true, reason: '', message: '' };

/** The image of all VMs here. */
export const image: Image = {
  id: containerOf({}).imageId,
  digest: `sha256:${'2'.repeat(64)}`,
  format: 'qcow2',
  path: '/images/base',
  sizeBytes: 10,
  allocatedBytes: 4_096,
  virtualSizeBytes: 20,
  repoTags: ['tiny:latest'],
  repoDigests: [`tiny@sha256:${'2'.repeat(64)}`],
  pinned: false,
};

function attachmentOf(sandboxId: string): NetworkAttachment {
  return {
    sandboxId,
    netnsPath: `/run/netns/vmlet-${sandboxId.slice(0, 12)}`,
    ips: ['10.1.0.5'],
    interfaces: [
      { name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1500, addresses: [{ cidr: '10.1.0.5/24', gateway: '10.1.0.1' }], routes: [] },
    ],
    dns: { servers: [], searches: [], options: [] },
  };
}

/** Requests of a pod, as cri/ hands them over. */
export const podConfig: SandboxConfig = sandboxOf({}).config;
export const vmConfig: ContainerConfig = containerOf({}).config;
