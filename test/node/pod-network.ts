import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../src/lib/run-program.ts';

/**
 * A node's pod network: bridge plugin with masquerading, host-local addresses. Plugins run in a network namespace that stands for the
 * machine's, so that the machine's own links, rules and settings stay as they are; only taps appear there, as they must. Plain data.
 */
export interface PodNetwork {
  /** CNI network name, which the plugins write into their iptables comments. */
  readonly name: string;
  readonly bridge: string;
  /** `10.x.y.0/24` */
  readonly subnet: string;
  readonly gateway: string;
  /** The IPv6 range (RFC 4193) and its gateway, where the network has both families. */
  readonly ipv6?: { readonly subnet: string; readonly gateway: string };
  /** File on which the namespace is mounted. */
  readonly netnsPath: string;
  /** Directory of the plugins. */
  readonly binDir: string;
  /** Where host-local keeps its leases. */
  readonly dataDir: string;
  readonly conflist: Conflist;
}

/** A CNI configuration list; plugins may be added before it is written. */
export interface Conflist {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Readonly<Record<string, unknown>>[];
}

/** Where distributions and Kubernetes' packages put plugins. */
const pluginDirs = ['/opt/cni/bin', '/usr/lib/cni'];

/** Describes the network of the node in `dir`; nothing is made yet. */
export function podNetwork(dir: string, { dualStack = false }: { readonly dualStack?: boolean } = {}): PodNetwork {
  const name = 'pods';
  const bridge = 'cni0';
  const subnet = '10.88.7.0/24';
  const ipv6 = dualStack ? { subnet: 'fd00:10:88:7::/64', gateway: 'fd00:10:88:7::1' } : undefined;
  const dataDir = join(dir, 'leases');
  const ranges = [[{ subnet }], ...(ipv6 ? [[{ subnet: ipv6.subnet }]] : [])];
  const routes = [{ dst: '0.0.0.0/0' }, ...(ipv6 ? [{ dst: '::/0' }] : [])];
  const ipam = { type: 'host-local', dataDir, ranges, routes };
  const plugin = { type: 'bridge', bridge, isGateway: true, ipMasq: true, ipam };
  const conflist = { cniVersion: '1.0.0', name, plugins: [plugin] };
  const where = { netnsPath: join(dir, 'netns'), binDir: join(dir, 'cni-bin'), dataDir };
  return { name, bridge, subnet, gateway: '10.88.7.1', ...(ipv6 ? { ipv6 } : {}), ...where, conflist };
}

/** Makes the namespace and the plugins that run in it. Needs root. */
export async function makePodNetwork(network: PodNetwork): Promise<void> {
  writeFileSync(network.netnsPath, '');
  const signal = AbortSignal.timeout(10_000);
  await runProgram('unshare', [`--net=${network.netnsPath}`, 'ip', 'link', 'set', 'dev', 'lo', 'up'], { signal });
  mkdirSync(network.binDir);
  const plugins = new Map(pluginDirs.filter(existsSync).flatMap((dir) => readdirSync(dir).map((plugin) => [plugin, join(dir, plugin)])));
  if (!plugins.has('bridge')) throw new Error(`no CNI plugins in ${pluginDirs.join(', ')}`);
  for (const [plugin, path] of plugins) addPlugin(network, plugin, `exec nsenter --net=${network.netnsPath} ${path}`);
}

/** Adds a plugin that is a shell script. */
export function addPlugin({ binDir }: PodNetwork, name: string, script: string): void {
  writeFileSync(join(binDir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** Writes a conflist where the daemon looks for it; the file appears whole, since the daemon may look at any moment. */
export async function writeConflist(confDir: string, conflist: Conflist): Promise<void> {
  await mkdir(confDir, { recursive: true });
  const draft = join(confDir, '10-pods.draft');
  await writeFile(draft, JSON.stringify(conflist, undefined, 2));
  await rename(draft, join(confDir, '10-pods.conflist'));
}

/** The addresses that are leased now. */
export async function leasedAddresses({ dataDir, name }: PodNetwork): Promise<string[]> {
  const files = await readdir(join(dataDir, name)).catch(() => []);
  return files.filter((file) => /^[0-9a-f.:]+$/.test(file));
}

/** What pods have left in the namespace: links other than bridges (which the plugin keeps for the next pod), and packet filter rules. */
export async function networkLeftovers({ netnsPath, bridge }: PodNetwork): Promise<string[]> {
  const signal = AbortSignal.timeout(20_000);
  const inside = async (...argv: readonly string[]): Promise<string[]> => {
    const { stdout } = await runProgram('nsenter', [`--net=${netnsPath}`, ...argv], { signal, maxOutputBytes: 16 * 2 ** 20 });
    return stdout.split('\n').map((line) => line.trim());
  };
  const [links, ...rules] = await Promise.all([inside('ip', '-o', 'link', 'show'), inside('iptables-save'), inside('ip6tables-save')]);
  const ofPods = links.filter((line) => line !== '' && !new RegExp(`^[0-9]+: (lo|${bridge}[a-z]*):`).test(line));
  const ofPlugins = rules.flat().filter((line) => /^(-A|:CNI-)/.test(line));
  return [...ofPods.map((line) => `link ${line}`), ...ofPlugins.map((line) => `rule ${line}`)];
}

/** What a web server in the pod network answered. */
export interface WebAnswer {
  readonly status: number;
  readonly text: string;
}

/** GET from a network namespace: the node's side of the pod network, or another machine. Throws when there is no answer within `timeoutMs`. */
export async function getFromPod(
  { netnsPath }: Pick<PodNetwork, 'netnsPath'>,
  url: string,
  timeoutMs = 5_000,
  signal?: AbortSignal,
): Promise<WebAnswer> {
  const curl = ['curl', '--silent', '--show-error', '--max-time', String(timeoutMs / 1_000), '--write-out', '\n%{http_code}', url];
  const { stdout } = await runProgram('nsenter', [`--net=${netnsPath}`, ...curl], {
    signal: signal ?? AbortSignal.timeout(timeoutMs + 5_000),
  });
  const cut = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(cut + 1)), text: stdout.slice(0, cut) };
}
