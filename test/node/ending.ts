import { globSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isAlive, stopHelper, type HelperIdentity } from '../../src/lib/helper-process.ts';
import { runProgram, tryProgram } from '../../src/lib/run-program.ts';
import { removeCgroupTree } from '../kubelet/kubelet.ts';
import { endProcesses, processesWith } from './processes.ts';

/** What is left of a node when its process has gone: enough to end it. Plain data. */
export interface NodeTraces {
  readonly dir: string;
  readonly stateDir: string;
  readonly cgroupRoot: string;
  readonly daemon: HelperIdentity | undefined;
}

/** Ends the daemon, then by force whatever belongs to the node, and removes its namespaces, taps, mounts, cgroups and directory. Pods should be gone by then. */
export async function endNode({ dir, stateDir, cgroupRoot, daemon }: NodeTraces): Promise<void> {
  if (daemon && isAlive(daemon)) await stopHelper(daemon, 15_000);
  await endProcesses(processesWith([`${dir}/`]).filter(({ command }) => command.includes('qemu-system')));
  await endProcesses(processesWith([`${dir}/`]));
  await removeNetworking(stateDir);
  for (const path of mountsBelow(dir)) await tryProgram('umount', ['--lazy', path], { signal: AbortSignal.timeout(10_000) });
  await removeCgroupTree(cgroupRoot);
  rmSync(dir, { recursive: true, force: true });
}

/** Removes taps that never got into a pod's namespace, and namespaces: both are named after ids, which the records still have. */
async function removeNetworking(stateDir: string): Promise<void> {
  const ids = globSync(join(stateDir, 'records', '{sandboxes,containers}', '*')).map((path) => basename(path).slice(0, 12));
  const isOurs = (name: string): boolean => ids.some((id) => name.includes(id));
  const signal = AbortSignal.timeout(10_000);
  const { stdout } = await runProgram('ip', ['-json', 'link', 'show'], { signal });
  const links = (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname);
  for (const name of links.filter(isOurs)) await tryProgram('ip', ['link', 'delete', 'dev', name], { signal });
  const namespaces = globSync('/run/netns/*').map((path) => basename(path));
  for (const name of namespaces.filter(isOurs)) await tryProgram('ip', ['netns', 'delete', name], { signal });
}

function mountsBelow(dir: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .toReversed();
}
