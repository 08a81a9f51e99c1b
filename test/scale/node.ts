import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { identify } from '../../src/lib/helper-process.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { makeLibvirtClient, type LibvirtClient } from '../../src/libvirt/libvirt.ts';
import { dhcpMark } from '../../src/network/dhcp/arguments.ts';
import { bootImage, bootImages, vmPod } from '../e2e/guests.ts';
import { runPod } from '../kubelet/kubelet.ts';
import { cpuTime } from '../lib/cpu-time.ts';
import { makeCriClient, type CriClient } from '../lib/cri-client.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../lib/libvirtd.ts';
import { waitFor } from '../lib/wait.ts';
import { startDaemonProcess, type DaemonProcess } from '../node/daemon-process.ts';
import { startNode } from '../node/node.ts';
import { readPodRecords, writePods, type MadePod, type PodRecords } from './state.ts';

const program = join(import.meta.dirname, 'daemon.ts');
const root = join(import.meta.dirname, '..', '..');
/** What `npm run build` made: the sources cost memory and time to be compiled. */
const built = join(root, 'dist');
const builtProgram = join(built, 'main.js');

/** Node's options as docs/running.md has them for the service. */
export const nodeOptions = '--max-old-space-size=512 --max-semi-space-size=2';

/** A daemon that has adopted many VMs. */
export interface ScaleNode extends AsyncDisposable {
  readonly client: CriClient;
  readonly pid: number;
  /** CPU time of the daemon from its start until its socket answered, milliseconds. */
  readonly startCpuMs: number;
}

/** The records of one real pod, to be copied, with the store that its image lies in, and the daemon's compiled code. */
export interface Template extends Disposable {
  readonly records: PodRecords;
  readonly imagesDir: string;
  /** A daemon that starts again finds it, as docs/running.md has it for the service. */
  readonly compileCacheDir: string;
}

/** Runs one pod on a real node and keeps what its daemon wrote. */
export async function makeTemplate(signal: AbortSignal): Promise<Template> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-scale-'));
  try {
    using boot = bootImages('halt');
    const compileCacheDir = join(dir, 'compile-cache');
    const env = { NODE_OPTIONS: nodeOptions, NODE_COMPILE_CACHE: compileCacheDir };
    const daemon = existsSync(builtProgram) ? { daemon: { program: builtProgram, env: () => env } } : {};
    await using node = await startNode({ images: boot.images, signal, ...daemon });
    await runPod(node.kubelet, vmPod({ name: 'scale', image: bootImage('halt') }), { signal });
    cpSync(join(node.stateDir, 'images'), join(dir, 'images'), { recursive: true });
    return {
      records: readPodRecords(node.stateDir),
      imagesDir: join(dir, 'images'),
      compileCacheDir,
      [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Starts a daemon on `count` pods whose VMs run in libvirtd's test driver. */
export async function startScaleNode(template: Template, count: number, signal: AbortSignal): Promise<ScaleNode> {
  await using undo = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-scale-'));
  undo.defer(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o711);
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir, { mode: 0o711 });
  cpSync(template.imagesDir, join(stateDir, 'images'), { recursive: true });
  const servers: ChildProcess[] = [];
  undo.defer(() => servers.forEach((server) => server.kill('SIGKILL')));
  const pods = writePods(stateDir, template.records, count, (sandboxId) => {
    const server = startServer(join(dir, 'run', 'network', `${sandboxId}.pid`));
    servers.push(server);
    const helper = identify(server.pid ?? 0);
    if (!helper) throw new Error('no process could be started in the place of a DHCP server');
    return helper;
  });
  undo.defer(async () => removeNamespaces(pods));
  await makeNamespaces(pods, signal);
  const libvirtd = undo.use(await startLibvirtd());
  const domains = await startDomains(libvirtd, pods, signal);
  undo.defer(async () => domains.close());

  const socket = join(dir, 'vmlet.sock');
  const config = join(dir, 'config.yaml');
  const logFile = join(dir, 'daemon.log');
  const libvirt = { socket: libvirtd.socketPath, runDir: libvirtd.runDir };
  writeFileSync(
    config,
    stringify({
      socket,
      stateDir,
      runtimeDir: join(dir, 'run'),
      domainType: 'qemu',
      libvirt,
      metrics: { listen: 'off' },
      cni: { confDir: dir, cacheDir: join(dir, 'cni'), otherCacheDirs: [] },
    }),
  );
  const env = {
    SCALE_CODE: existsSync(builtProgram) ? built : join(root, 'src'),
    NODE_OPTIONS: nodeOptions,
    NODE_COMPILE_CACHE: template.compileCacheDir,
  };
  const daemon = await startDaemonProcess({ configFile: config, configDir: join(dir, 'none'), logFile, program, env });
  undo.defer(async () => void (await daemon.end(15_000)));
  const client = makeCriClient(socket);
  undo.defer(() => client.close());
  await waitFor(async () => answers(daemon, client), { timeoutMs: 120_000, what: 'the daemon to serve', everyMs: 20 });
  const startCpuMs = cpuTime(daemon.pid).own;
  const ends = undo.move();
  return { client, pid: daemon.pid, startCpuMs, [Symbol.asyncDispose]: async () => ends.disposeAsync() };
}

/** A process that the daemon takes for the DHCP server with that pid file. */
function startServer(pidFile: string): ChildProcess {
  return spawn('sleep', ['infinity'], { argv0: dhcpMark({ pidFile }), stdio: 'ignore' });
}

async function answers(daemon: DaemonProcess, client: CriClient): Promise<boolean> {
  if (daemon.hasEnded()) throw new Error(`the daemon ended: ${await daemon.ended}`);
  await client.runtime.version({}, { timeoutMs: 2_000 });
  return true;
}

/** The test driver forgets its domains with its last connection: the one that is answered keeps them. */
async function startDomains(libvirtd: PrivateLibvirtd, pods: readonly MadePod[], signal: AbortSignal): Promise<LibvirtClient> {
  const client = makeLibvirtClient({ socketPath: libvirtd.socketPath, uri: 'test:///default' });
  try {
    await client.connected(signal);
    for (const { domainXml } of pods) {
      const domain = await client.control.domains.define(domainXml, 0, signal);
      await client.control.domains.create(domain, 0, signal);
    }
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** One namespace of the machine under many names: the daemon asks only whether there is one. */
async function makeNamespaces(pods: readonly MadePod[], signal: AbortSignal): Promise<void> {
  const script = 'mkdir -p /run/netns; while read -r path; do : >"$path"; mount --bind /proc/self/ns/net "$path"; done';
  await runProgram('sh', ['-c', script], { signal, input: lines(pods), timeoutMs: 60_000 });
}

async function removeNamespaces(pods: readonly MadePod[]): Promise<void> {
  const script = 'while read -r path; do umount --lazy "$path" 2>/dev/null; rm -f "$path"; done';
  await runProgram('sh', ['-c', script], { signal: AbortSignal.timeout(60_000), input: lines(pods), timeoutMs: 60_000 });
}

function lines(pods: readonly MadePod[]): string {
  return pods.map(({ netnsPath }) => `${netnsPath}\n`).join('');
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kib) * 1_024;
}
