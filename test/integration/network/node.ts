import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { silentLog } from '../../../src/lib/log.ts';
import { randomId } from '../../../src/lib/ids.ts';
import { statFields } from '../../../src/lib/proc-stat.ts';
import { makeNetwork, type AttachRequest, type Network, type NetworkOptions } from '../../../src/network/network.ts';
import { waitFor } from '../../lib/wait.ts';
import { podProcessesWith, processesWith } from '../../node/processes.ts';

/** Runs a program; throws with its stderr. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A signal for calls that a test expects to end soon. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

/** What could be left behind by a network: compared before and after. */
export interface Traces {
  readonly namespaces: readonly string[];
  readonly links: readonly string[];
  readonly iptables: readonly string[];
  readonly leases: readonly string[];
  readonly records: readonly string[];
  /** Results that are cached as libcni does. */
  readonly cached: readonly string[];
  /** Ids with command lines; calls of plugins that concern the network as a whole are left out. */
  readonly processes: readonly string[];
  /** Files of DHCP servers. */
  readonly dhcp: readonly string[];
}

/** A node on which no pod is left. */
export const nothing: Traces = {
  namespaces: [],
  links: ['lo'],
  iptables: [],
  leases: [],
  records: [],
  cached: [],
  processes: [],
  dhcp: [],
};

/**
 * A node for pod networks that touches nothing of the machine: real CNI plugins run in a network namespace of the test's own, which
 * stands for the host's; only taps appear in the machine's, as they must.
 */
export interface TestNode {
  readonly dir: string;
  readonly netns: string;
  readonly netnsDir: string;
  readonly runtimeDir: string;
  readonly binDir: string;
  readonly confDir: string;
  readonly stateDir: string;
  readonly journal: string;
  /** Opens a network on the node's directories, as a daemon that starts; closed when the test ends. */
  readonly open: (cniTimeoutMs?: number, retryMs?: number, more?: Partial<NetworkOptions>, deps?: Doubles) => Promise<Network>;
  readonly configure: (plugins: readonly object[], file?: string, cniVersion?: string) => void;
  readonly traces: () => Traces;
  /** What the double has written down, but for what passes by itself in the state of an interface. */
  readonly calls: () => readonly PluginCall[];
  /** Runs a program in the node's namespace. */
  readonly inside: (...argv: readonly [string, ...string[]]) => string;
}

/** What stands for a part of the machine that it has not. */
type Doubles = Partial<Parameters<typeof makeNetwork>[1]>;

const call = z.object({
  command: z.string(),
  env: z.record(z.string(), z.string()),
  input: z.record(z.string(), z.unknown()),
  state: z.unknown().optional(),
});

/** A call that a plugin double wrote down. */
export type PluginCall = z.infer<typeof call>;

/** Makes a node; everything of it is removed when the test ends, also when it fails. */
export function makeNode(): TestNode {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-net-'));
  const at = (name: string): string => join(dir, name);
  const [netns, netnsDir, runtimeDir, binDir, confDir, stateDir, journal] = [
    at('node'),
    at('netns'),
    at('run'),
    at('bin'),
    at('conf'),
    at('state'),
    at('journal'),
  ];
  for (const path of [binDir, confDir]) mkdirSync(path);
  writeFileSync(netns, '');
  run('unshare', `--net=${netns}`, 'ip', 'link', 'set', 'dev', 'lo', 'up');
  onTestFinished(() => cleanUp(dir, { netns, netnsDir, runtimeDir, journal }));
  for (const plugin of readdirSync('/usr/lib/cni')) script(join(binDir, plugin), `exec nsenter --net=${netns} /usr/lib/cni/${plugin}`);
  script(join(binDir, 'several'), `exec ${process.execPath} ${join(import.meta.dirname, '..', '..', 'node', 'several-networks.ts')}`);
  script(join(binDir, 'double'), `exec ${process.execPath} ${join(import.meta.dirname, 'plugin-double.ts')}`);
  const modernPlugin = join(import.meta.dirname, '..', '..', 'node', 'modern-plugin.ts');
  script(join(binDir, 'modern'), `exec ${process.execPath} ${modernPlugin} ${join(binDir, 'bridge')} ${dir}`);

  async function open(cniTimeoutMs = 20_000, retryMs = 60_000, more: Partial<NetworkOptions> = {}, deps: Doubles = {}): Promise<Network> {
    const cni = {
      confDir,
      binDirs: ['/nonexistent', binDir],
      timeoutMs: cniTimeoutMs,
      cacheDir: join(stateDir, 'cni'),
      otherCacheDirs: [join(dir, 'other-cni')],
      pollMs: 200,
      retryMs,
    };
    const network = await makeNetwork({ netnsDir, stateDir, runtimeDir, cni, ...more }, { log: silentLog, ...deps });
    onTestFinished(network.close);
    return network;
  }

  const inside = (...argv: readonly string[]): string => run('nsenter', `--net=${netns}`, ...argv);
  return {
    dir,
    netns,
    netnsDir,
    runtimeDir,
    binDir,
    confDir,
    stateDir,
    journal,
    open,
    configure: (plugins, file = '10-test.conflist', cniVersion = '1.0.0') =>
      writeFileSync(join(confDir, file), JSON.stringify({ cniVersion, name: 'testnet', plugins })),
    inside,
    traces: () => ({
      namespaces: list(netnsDir),
      links: linkNames(inside('ip', '-json', 'link')),
      iptables: ['iptables-save', 'ip6tables-save'].flatMap((save) => inside(save).split('\n').filter(isOfPod)),
      leases: list(join(dir, 'ipam', 'testnet')).filter((name) => /^[0-9a-f]+[.:]/.test(name)),
      records: list(join(stateDir, 'attachments')),
      cached: list(join(stateDir, 'cni', 'results')),
      processes: podProcessesWith([dir]).map(({ pid, command }) => `${pid} ${command}`),
      dhcp: list(runtimeDir),
    }),
    calls: () =>
      readFileSync(journal, 'utf8')
        .trim()
        .split('\n')
        .map((line) => call.parse(JSON.parse(line, withoutPassing))),
  };
}

/** For a second or two the kernel asks whether a link-local address is anybody's, and it tells later than it carries that a link does. */
function withoutPassing(key: string, value: unknown): unknown {
  if (key === 'tentative' || key === 'operstate') return undefined;
  return key === 'flags' && Array.isArray(value) ? value.filter((flag) => flag !== 'NO-CARRIER') : value;
}

/** The usual bridge plugin, with addresses from a range of its own. */
export function bridgePlugin(node: TestNode, more: object = {}): object {
  const ranges = [[{ subnet: '10.213.7.0/24' }]];
  const ipam = { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges, routes: [{ dst: '0.0.0.0/0' }] };
  return { type: 'bridge', bridge: 'cni-test', isGateway: true, ipMasq: true, ipam, ...more };
}

/** What a sandbox asks for; a fresh one each time. */
export function request(more: Partial<AttachRequest> = {}): AttachRequest {
  return {
    sandboxId: randomId(),
    metadata: { name: 'web', namespace: 'default', uid: 'f0a1', attempt: 0 },
    hostname: 'web',
    dns: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local', 'svc.cluster.local'], options: ['ndots:5'] },
    portMappings: [],
    annotations: {},
    ...more,
  };
}

/** Stands for a VM: a namespace with an interface whose other end is in the host's, named as a tap would be. */
export interface TestGuest {
  readonly netns: string;
  readonly tap: string;
  readonly inside: (...argv: readonly [string, ...string[]]) => string;
  /** One try of DHCP: what the client was given, by its own names; `undefined` when nobody answered. Addresses and routes are set. */
  readonly dhcp: () => Readonly<Record<string, string>> | undefined;
}

/** Makes a guest whose interface has `mac`; removed when the test ends. `name` is what its tap is called, if not by chance. */
export function makeGuest(node: TestNode, mac: string, name?: string): TestGuest {
  const tag = randomBytes(4).toString('hex');
  const netns = join(node.dir, `guest-${tag}`);
  const tap = name ?? `tg${tag}`;
  writeFileSync(netns, '');
  run('unshare', `--net=${netns}`, 'ip', 'link', 'set', 'dev', 'lo', 'up');
  onTestFinished(() => {
    spawnSync('ip', ['link', 'del', 'dev', tap]);
    run('umount', '--lazy', netns);
  });
  run('ip', 'link', 'add', 'name', tap, 'type', 'veth', 'peer', 'name', 'g0', 'address', mac, 'netns', netns);
  const inside = (...argv: readonly string[]): string => run('nsenter', `--net=${netns}`, ...argv);
  inside('ip', 'link', 'set', 'dev', 'g0', 'up');
  const answer = `${netns}.lease`;
  const configure = join(node.dir, `udhcpc-${tag}`);
  script(configure, udhcpcScript.replace('ANSWER', answer));
  const dhcp = (): Readonly<Record<string, string>> | undefined => {
    rmSync(answer, { force: true });
    const asked = ['mtu', 'search', 'staticroutes'].flatMap((name) => ['-O', name]);
    spawnSync('nsenter', [
      `--net=${netns}`,
      'busybox',
      'udhcpc',
      '-i',
      'g0',
      '-f',
      '-q',
      '-n',
      '-t',
      '4',
      '-T',
      '1',
      '-s',
      configure,
      ...asked,
    ]);
    if (!existsSync(answer)) return undefined;
    return Object.fromEntries(
      readFileSync(answer, 'utf8')
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  };
  return { netns, tap, inside, dhcp };
}

/** What a DHCP client's script does: classless routes instead of the router where there are any (RFC 3442). */
const udhcpcScript = `[ "$1" = bound ] || exit 0
env > ANSWER
ip addr replace "$ip/$mask" dev "$interface"
if [ -n "$staticroutes" ]; then
  set -- $staticroutes
  while [ $# -ge 2 ]; do
    if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"; else ip route replace "$1" via "$2" dev "$interface"; fi
    shift 2
  done
elif [ -n "$router" ]; then ip route replace default via "$router" dev "$interface"; fi`;

function script(file: string, text: string): void {
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

/** Rules, and the chains that plugins make for one pod: those are named by a hash. */
function isOfPod(line: string): boolean {
  return /^-A |^:CNI-([A-Z]+-)?[0-9a-f]{10}/.test(line);
}

function list(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir).toSorted() : [];
}

function linkNames(json: string): readonly string[] {
  const links = z.array(z.object({ ifname: z.string() })).parse(JSON.parse(json));
  return links
    .map(({ ifname }) => ifname)
    .filter((name) => !name.startsWith('cni-test')) // the plugin leaves its bridge, as it does on a node
    .toSorted();
}

function cleanUp(dir: string, at: Pick<TestNode, 'netns' | 'netnsDir' | 'runtimeDir' | 'journal'>): void {
  for (const { pid } of processesWith([at.runtimeDir])) process.kill(pid, 'SIGKILL');
  for (const group of hangingGroups(at.journal)) process.kill(-group, 'SIGKILL');
  for (const name of list(at.netnsDir)) spawnSync('umount', ['--lazy', join(at.netnsDir, name)]);
  spawnSync('umount', ['--lazy', at.netnsDir]);
  run('umount', '--lazy', at.netns);
  rmSync(dir, { recursive: true, force: true });
}

/** Process groups of plugin doubles that still hang: only when what is tested failed. */
function hangingGroups(journal: string): ReadonlySet<number> {
  const [leader, ...members] = existsSync(`${journal}.pids`) ? readFileSync(`${journal}.pids`, 'utf8').split(' ') : [];
  const groups = [leader, ...members].map((pid) => {
    const stat = spawnSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' }).stdout;
    const [state, , group] = statFields(stat);
    return state !== 'Z' && group === leader ? Number(group) : 0;
  });
  return new Set(groups.filter((group) => group > 1));
}

/** The pid of a sandbox's DHCP server by its pid file, which is written a moment after the server listens. */
export async function serverPid({ runtimeDir }: TestNode, sandboxId: string): Promise<number> {
  const file = join(runtimeDir, `${sandboxId}.pid`);
  return waitFor(() => existsSync(file) && (Number.parseInt(readFileSync(file, 'utf8'), 10) || false), {
    timeoutMs: 20_000,
    what: 'pid file of dnsmasq',
  });
}
