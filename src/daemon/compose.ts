import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCgroups } from '../cgroup/cgroup.ts';
import { loadMappings, type Config } from '../config/config.ts';
import type { CriDeps } from '../cri/cri.ts';
import { makeGuest } from '../guest/guest.ts';
import { makeHypervisor, type HypervisorService } from '../hypervisor/hypervisor.ts';
import { makeImages, type ClosableImages } from '../images/images.ts';
import type { Log } from '../lib/log.ts';
import { makeLogs } from '../logs/logs.ts';
import { makeNetwork, type Network } from '../network/network.ts';
import { makePods, type PodsService } from '../pods/pods.ts';
import { makeVolumes } from '../volumes/volumes.ts';
import { openDecorated, undecorated, type Decorate } from './decorate.ts';
import type { Hooks } from './hooks.ts';
import { progressLog } from './progress-log.ts';
import { imagesOptions } from './images-options.ts';
import { overheadBytes } from './overhead.ts';
import { makeRootDiskSpace, type RootDiskSpace } from './root-disk-space.ts';

/** All objects of a daemon, built by hand and not started. */
export interface Parts {
  readonly hypervisor: HypervisorService;
  readonly images: ClosableImages;
  readonly network: Network;
  readonly pods: PodsService;
  readonly rootDisks: RootDiskSpace;
  readonly cri: CriDeps;
}

/** What the rooms get beside the configuration. */
export interface Surroundings {
  /** The node's boot id (proc(5)). */
  readonly bootId: string;
  readonly log: Log;
  readonly hooks: Hooks;
  readonly decorate?: Decorate | undefined;
}

/** Builds every room from the configuration. Opens records and stores; starts no process and serves nothing. */
export async function compose(config: Config, { bootId, log, hooks, decorate = undecorated }: Surroundings): Promise<Parts> {
  const { stateDir, runtimeDir } = config;
  // QEMU opens disks and sockets by path, as an uid of its own: it must get through.
  for (const dir of [stateDir, runtimeDir]) await mkdir(dir, { recursive: true, mode: 0o711 });
  const opening = { openRecords: openDecorated(decorate, hooks.onRecordRead) };
  const named = (room: string): { readonly log: Log } => ({ log: log.child({ room }) });

  const hypervisor = decorate(
    'hypervisor',
    await makeHypervisor(hypervisorOptions(config, bootId), { ...named('hypervisor'), hooks: hooks.hypervisor }),
  );
  const cgroups = decorate('cgroups', await makeCgroups({ driver: config.cgroupDriver }));
  const imagesDeps = { ...named('images'), ...opening, hooks: hooks.pulls, onProgress: progressLog(named('images').log) };
  const images = decorate('images', await makeImages(imagesOptions(config, loadMappings(config.images)), imagesDeps));
  const network = decorate('network', await makeNetwork(networkOptions(config), { ...named('network'), ...opening }));
  const logs = decorate('logs', makeLogs({ maxBacklogBytes: config.console.maxBacklog }, named('logs')));
  const volumes = decorate('volumes', makeVolumes());
  const guest = decorate('guest', makeGuest());
  const pods = await makePods(
    {
      stateDir,
      runtimeDir,
      uidRange: { first: config.vm.firstUid, count: config.vm.uidCount },
      sizing: {
        defaultCpus: config.vm.defaultCpus,
        maxCpus: config.vm.maxCpus,
        defaultMemoryBytes: config.vm.defaultMemory,
        minMemoryBytes: config.vm.minMemory,
        overheadBytes: (vcpus, limitBytes) => overheadBytes(config.vm.overhead, hypervisor.accelerator(), { vcpus, limitBytes }),
      },
      shutdownRepeatMs: config.vm.shutdownRepeat,
      bootId,
    },
    { hypervisor, cgroups, images, network, volumes, guest, logs, ...named('pods'), ...opening },
  );
  const rootDisks = await makeRootDiskSpace(stateDir, named('daemon').log);
  const runtime: CriDeps['runtime'] = {
    runtimeCondition: hypervisor.condition,
    networkCondition: network.condition,
    rootDiskSpace: rootDisks.latest,
    cgroupDriver: cgroups.driver,
    info: () => ({
      stateDir,
      runtimeDir,
      domainType: config.domainType,
      accelerator: hypervisor.accelerator(),
      cgroupVersion: cgroups.version,
    }),
  };
  return { hypervisor, images, network, pods, rootDisks, cri: { pods, images, runtime, ...named('cri') } };
}

function hypervisorOptions(config: Config, bootId: string): Parameters<typeof makeHypervisor>[0] {
  const { socket, runDir } = config.libvirt;
  return {
    domainType: config.domainType,
    stateDir: join(config.stateDir, 'libvirt'),
    runtimeDir: join(config.runtimeDir, 'libvirt'),
    bootId,
    ...(socket !== undefined && runDir !== undefined ? { external: { socketPath: socket, runDir } } : {}),
  };
}

function networkOptions({ stateDir, runtimeDir, network, cni }: Config): Parameters<typeof makeNetwork>[0] {
  return {
    netnsDir: '/run/netns',
    stateDir: join(stateDir, 'network'),
    runtimeDir: join(runtimeDir, 'network'),
    antiSpoofing: network.antiSpoofing,
    cni: { ...cni, timeoutMs: cni.timeout, cacheDir: cni.cacheDir ?? join(stateDir, 'cni') },
  };
}
