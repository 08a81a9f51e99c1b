import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { foreignCgroups } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { machineLines } from './machine.ts';
import { leasedAddresses, networkLeftovers, type PodNetwork } from './pod-network.ts';

/** What to look for. */
export interface LeftoverQuery {
  /** The node's directory; its own daemon, libvirtd and configuration are expected there. */
  readonly dir: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly logFile: string;
  readonly network: PodNetwork;
  readonly cgroupRoot: string;
  /** Directories whose files are no leftovers: pod logs and what else the kubelet keeps. */
  readonly kept: readonly string[];
  /** Command lines that are expected while the node runs. */
  readonly isOwnService: (command: string) => boolean;
}

/**
 * Everything that pods have left behind, one line each; empty when all is cleaned up. Ids that the daemon has ever logged or recorded
 * tell what on the machine belongs to this node, so that other nodes on the machine do not matter.
 */
export async function findLeftovers(query: LeftoverQuery): Promise<string[]> {
  const { dir, stateDir, runtimeDir, network } = query;
  const files = await filesUnder(dir);
  const ids = await knownIds(query, files);
  const machine = await machineLines([dir, ...ids]);
  const [ofNetwork, leases, cgroups] = await Promise.all([
    networkLeftovers(network), // after the list of processes: it runs some in the node's namespace
    leasedAddresses(network),
    foreignCgroups(query.cgroupRoot),
  ]);
  const podDirs = [
    join(stateDir, 'vms'),
    join(stateDir, 'records', 'sandboxes'),
    join(stateDir, 'records', 'containers'),
    join(runtimeDir, 'netns'),
  ];
  const ofPods = files.filter(
    (file) =>
      !query.kept.some((path) => file.startsWith(`${path}/`)) &&
      (ids.some((id) => file.includes(id)) || podDirs.some((path) => file.startsWith(`${path}/`))),
  );
  return [
    ...machine.filter((line) => !isExpected(line, query)),
    ...ofNetwork,
    ...leases.map((address) => `lease ${address}`),
    ...cgroups.map((path) => `cgroup ${path}`),
    ...ofPods.map((file) => `file ${relative(dir, file)}`),
  ];
}

/** A directory that goes while it is walked fails the walk: the daemon goes on at its work meanwhile. */
async function filesUnder(dir: string): Promise<string[]> {
  const paths = await waitFor(async () => readdir(dir, { recursive: true }), {
    timeoutMs: 20_000,
    what: `directory ${dir} that holds still`,
  });
  return paths.map((path) => join(dir, path));
}

/** The first twelve digits of each id: all names on the machine are made of them. */
async function knownIds(query: LeftoverQuery, files: readonly string[]): Promise<string[]> {
  const log = await readFile(query.logFile, 'utf8').catch(() => '');
  const logged = [...log.matchAll(/"(?:sandboxId|containerId)":"([0-9a-f]{64})"/g)].map(([, id = '']) => id);
  const recorded = files.flatMap((file) => /records\/(?:sandboxes|containers)\/([0-9a-f]{64})/.exec(file)?.[1] ?? []);
  return [...new Set([...logged, ...recorded].map((id) => id.slice(0, 12)))];
}

function isExpected(line: string, { dir, runtimeDir, network, isOwnService }: LeftoverQuery): boolean {
  const process = /^process \d+ (.*)$/s.exec(line);
  if (process) return isOwnService(process[1] ?? '');
  const mounted = /^mount \S+ (\S+) /.exec(line)?.[1];
  const own = [network.netnsPath, join(runtimeDir, 'netns')];
  return mounted !== undefined && mounted.startsWith(`${dir}/`) && own.includes(mounted);
}
