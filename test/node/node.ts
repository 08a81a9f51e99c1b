import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { makeCriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { identify } from '../../src/lib/helper-process.ts';
import { abandonOnAbort } from '../../src/lib/signals.ts';
import { nodeSettings, removeAllPods, type Kubelet, type KubeletSettings } from '../kubelet/kubelet.ts';
import { startDaemonProcess, tailOf, type DaemonProcess } from './daemon-process.ts';
import { endNode, type NodeTraces } from './ending.ts';
import { startImageServer, type ImageServer } from './image-server.ts';
import { findLeftovers } from './leftovers.ts';
import { makePodNetwork, podNetwork, writeConflist, type Conflist, type PodNetwork } from './pod-network.ts';
import { isLibvirtDaemon, processesWith } from './processes.ts';

export { endNode, type NodeTraces } from './ending.ts';
export type { ImageServer } from './image-server.ts';
export { addPlugin, getFromPod, writeConflist, type PodNetwork, type WebAnswer } from './pod-network.ts';

/** An image that the node knows by name: a local file, served over HTTP on loopback, or an address. */
export type NodeImage = {
  readonly name: string;
  readonly format?: 'qcow2' | 'raw';
  readonly sha256?: string;
} & ({ readonly file: string } | { readonly url: string });

/** What differs from a plain node. */
export interface NodeOptions {
  readonly images?: readonly NodeImage[];
  /** Sources beyond `images`, made when the image server's address is known. */
  readonly sources?: (server: ImageServer) => readonly Readonly<Record<string, unknown>>[];
  /** Pods get an IPv6 address beside the IPv4 one. */
  readonly dualStack?: boolean;
  /** Changes the pod network's conflist before it is written; `undefined` writes none. */
  readonly conflist?: (network: PodNetwork) => Conflist | undefined;
  /** Keys over the node's own configuration, one level deep. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly kubelet?: Partial<KubeletSettings>;
  /** Another entry of the daemon, and its environment (asked at each start). */
  readonly daemon?: { readonly program?: string; readonly env?: () => Readonly<Record<string, string>> };
  /** Longest time until the runtime reports itself ready; default 180 000 ms. `false`: do not wait for it. */
  readonly readyWithinMs?: number | false;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
}

/** A whole private node: the daemon as a process with its libvirtd, a pod network, an image server, and a kubelet's connection. */
export interface TestNode extends AsyncDisposable {
  readonly dir: string;
  readonly socket: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly cniConfDir: string;
  readonly configFile: string;
  /** Mapping files and hosts.toml of registries; both need not exist. */
  readonly mappingDir: string;
  readonly registryHostsDir: string;
  readonly logFile: string;
  readonly network: PodNetwork;
  readonly images: ImageServer;
  readonly kubelet: Kubelet;
  /** The daemon's pid; throws when it does not run. */
  readonly daemonPid: () => number;
  readonly daemonRuns: () => boolean;
  /** Starts the daemon again and waits until it is ready. */
  readonly startDaemon: () => Promise<void>;
  /** SIGKILL: no clean-up of its own. */
  readonly killDaemon: () => Promise<void>;
  /** SIGTERM; answers how it ended. */
  readonly stopDaemon: () => Promise<string>;
  /** The daemon's libvirtd; throws when none runs. */
  readonly libvirtdPid: () => number;
  readonly logTail: (lines?: number) => string;
  /** What `endNode` needs when this process is gone. */
  readonly traces: () => NodeTraces;
  /** Lets this process end without the node: closes the connection and the image server, the daemon goes on. */
  readonly release: () => Promise<void>;
  /** What pods have left behind on the machine and on disk, one line each. */
  readonly leftovers: () => Promise<string[]>;
  /** Removes all pods, ends everything and removes every trace, also of what tests have broken. Idempotent. */
  readonly stop: () => Promise<void>;
}

/** Starts a node and waits until its runtime is ready. On failure all is removed, and the error quotes the daemon's log. */
export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const dir = mkdtempSync(join(tmpdir(), 'vm-'));
  chmodSync(dir, 0o711); // QEMU opens disks by path as an uid of its own
  const images = await startImageServer();
  const network = podNetwork(dir, { dualStack: options.dualStack === true });
  const cgroupRoot = `/${basename(dir)}`;
  const paths = {
    socket: join(dir, 'vmlet.sock'),
    stateDir: join(dir, 'state'),
    runtimeDir: join(dir, 'run'),
    cniConfDir: join(dir, 'net.d'),
    configFile: join(dir, 'config.yaml'),
    mappingDir: join(dir, 'images.d'),
    registryHostsDir: join(dir, 'certs.d'),
    logFile: join(dir, 'daemon.log'),
  };
  const client = makeCriClient(paths.socket);
  const kubelet: Kubelet = { client, settings: nodeSettings(join(dir, 'node'), { cgroupRoot, ...options.kubelet }) };
  const configDir = join(dir, 'conf.d');
  let daemon: DaemonProcess | undefined;
  let stopped = false;

  async function prepare(): Promise<void> {
    await makePodNetwork(network);
    mkdirSync(paths.cniConfDir);
    const conflist = options.conflist ? options.conflist(network) : network.conflist;
    if (conflist) await writeConflist(paths.cniConfDir, conflist);
    writeFileSync(paths.configFile, stringify(configuration(options, { ...paths, binDir: network.binDir, images })));
  }

  async function startDaemon(): Promise<void> {
    const { program, env } = options.daemon ?? {};
    const started = await startDaemonProcess({ ...paths, configDir, ...(program ? { program } : {}), ...(env ? { env: env() } : {}) });
    daemon = started;
    if (options.readyWithinMs === false) return;
    const ready = waitFor(
      async () => {
        if (started.hasEnded()) return 'ended';
        const { status } = await client.runtime.status({}, { timeoutMs: 2_000 });
        return status?.conditions.find(({ type }) => type === 'RuntimeReady')?.status === true && 'ready';
      },
      { timeoutMs: options.readyWithinMs ?? 180_000, what: 'RuntimeReady' },
    );
    await abandonOnAbort(ready, options.signal ?? new AbortController().signal);
    if (started.hasEnded()) throw new Error(`the daemon ended at its start: ${await started.ended}`);
  }

  const daemonRuns = (): boolean => daemon !== undefined && !daemon.hasEnded();

  async function stop(): Promise<void> {
    if (stopped) return;
    stopped = true;
    if (daemonRuns()) await removeAllPods(kubelet).catch(() => undefined);
    client.close();
    if (daemonRuns()) await daemon?.end(15_000);
    await images[Symbol.asyncDispose]();
    await endNode(traces());
  }

  const traces = (): NodeTraces => ({
    dir,
    stateDir: paths.stateDir,
    cgroupRoot,
    daemon: daemonRuns() ? identify(daemon?.pid ?? 0) : undefined,
  });

  const node: TestNode = {
    dir,
    ...paths,
    network,
    images,
    kubelet,
    daemonRuns,
    daemonPid: () => {
      if (!daemon || daemon.hasEnded()) throw new Error('the daemon does not run');
      return daemon.pid;
    },
    startDaemon,
    killDaemon: async () => {
      daemon?.kill('SIGKILL');
      await daemon?.ended;
    },
    stopDaemon: async () => (daemon ? daemon.end(30_000) : 'not running'),
    libvirtdPid: () => {
      // A child that is about to become QEMU has the same command line, and may have the lower pid.
      const pid = Number(readFileSync(join(paths.runtimeDir, 'libvirt', 'libvirtd.pid'), 'utf8'));
      const found = processesWith([`${dir}/`]).find((each) => each.pid === pid && isLibvirtDaemon(each.command));
      if (!found) throw new Error('no libvirtd of this node runs');
      return found.pid;
    },
    logTail: (lines = 40) => tailOf(paths.logFile, lines),
    leftovers: async () =>
      findLeftovers({
        dir,
        ...paths,
        network,
        cgroupRoot,
        kept: [kubelet.settings.logRoot, kubelet.settings.rootDir],
        isOwnService: (command) => isLibvirtDaemon(command) || command.includes(`--config ${paths.configFile}`),
      }),
    traces,
    release: async () => {
      client.close();
      await images[Symbol.asyncDispose]();
      daemon?.unref();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
  try {
    await prepare();
    await startDaemon();
    return node;
  } catch (error) {
    const log = tailOf(paths.logFile, 40);
    await stop();
    throw new Error(`the node did not start; the daemon's log ends with:\n${log}`, { cause: error });
  }
}

function configuration(options: NodeOptions, paths: Paths): Record<string, unknown> {
  const { images: server } = paths;
  const sources = (options.images ?? []).map(({ name, format, sha256, ...where }) => ({
    name,
    url: 'url' in where ? where.url : server.serveFile(basename(where.file), where.file),
    ...(format === undefined ? {} : { format }),
    ...(sha256 === undefined ? {} : { sha256 }),
  }));
  const own: Record<string, unknown> = {
    socket: paths.socket,
    runtimeDir: paths.runtimeDir,
    stateDir: paths.stateDir,
    domainType: 'qemu',
    metrics: { listen: '127.0.0.1:0' }, // a free port each, told in the log: nodes run side by side
    images: {
      sources: [...sources, ...(options.sources?.(server) ?? [])],
      mappingDir: paths.mappingDir,
      registryHostsDir: paths.registryHostsDir,
      kubeletRoot: dirname(paths.stateDir),
    },
    cni: { confDir: paths.cniConfDir, binDirs: [paths.binDir], cacheDir: join(paths.stateDir, 'cni'), otherCacheDirs: [] },
  };
  for (const [key, value] of Object.entries(options.config ?? {})) {
    const before = own[key];
    own[key] = isRecord(before) && isRecord(value) ? { ...before, ...value } : value;
  }
  return own;
}

interface Paths {
  readonly socket: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly cniConfDir: string;
  readonly mappingDir: string;
  readonly registryHostsDir: string;
  readonly binDir: string;
  readonly images: ImageServer;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
