import { readFileSync, readdirSync } from 'node:fs';
import { identify, isAlive, stopHelper } from '../../src/lib/helper-process.ts';
import { isErrno } from '../../src/lib/errno.ts';

/** A process with its command line. */
export interface RunningProcess {
  readonly pid: number;
  readonly command: string;
}

/** All processes whose command line contains one of `texts`. This process and its parent are left out. */
export function processesWith(texts: readonly string[]): RunningProcess[] {
  const found: RunningProcess[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name) || Number(name) === process.pid || Number(name) === process.ppid) continue;
    const command = commandOf(name);
    if (texts.some((text) => command.includes(text))) found.push({ pid: Number(name), command });
  }
  return found;
}

/**
 * As `processesWith`, of what can belong to a pod: not the calls of CNI plugins that concern the node's network as a whole, which a daemon
 * makes when it likes, nor what those have started.
 */
export function podProcessesWith(texts: readonly string[]): RunningProcess[] {
  // Again looked at last: of one that has ended meanwhile the environment is empty.
  return processesWith(texts).filter(({ pid }) => !isOfNetwork(pid) && commandOf(String(pid)) !== '');
}

/** STATUS, VERSION and GC have no container (CNI specification, section 2). */
function isOfNetwork(pid: number): boolean {
  return /(^|\0)CNI_COMMAND=(STATUS|VERSION|GC)\0/.test(readProc(`${pid}/environ`));
}

/** True for the command line of a daemon of libvirt's. */
export function isLibvirtDaemon(command: string): boolean {
  return /^\S*(libvirtd|virtqemud|virtlogd)\b/.test(command);
}

/** Ends processes by pid, SIGTERM first; each is looked at again before, so that a reused pid is not touched. */
export async function endProcesses(processes: readonly RunningProcess[], graceMs = 3_000): Promise<void> {
  await Promise.all(
    processes.map(async ({ pid, command }) => {
      const identity = identify(pid);
      if (identity && commandOf(String(pid)) === command && isAlive(identity)) await stopHelper(identity, graceMs);
    }),
  );
}

function commandOf(pid: string): string {
  return readProc(`${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EINVAL')) return ''; // it ended meanwhile
    throw error;
  }
}
