import { open, readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from '../lib/errno.ts';
import { identify, stopHelper } from '../lib/helper-process.ts';
import { collectionMark } from './cni/input.ts';
import { netnsMark } from './netns.ts';

/** How long they may take to end by themselves, milliseconds: a DEL that is killed half way may leave what no other DEL finds. */
const patienceMs = 5_000;
/** As long as a plugin that is killed has; see plugin-process.ts. */
const graceMs = 500;
/** More than any plugin's environment, bytes: what lies behind is not looked at. */
const environBytes = 2 ** 16;
/** What a program starts while it is being ended is found by another look; one that always starts more is given up on. */
const looks = 5;

/** Whose programs are looked for: they are known by entries of their environment, which what they start inherits. */
export interface OrphanedBy {
  /** The daemon's own directory, for its collection of garbage. */
  readonly stateDir: string;
  readonly sandboxes: readonly MarkedSandbox[];
}

/** A sandbox that was on record. */
export interface MarkedSandbox {
  readonly sandboxId: string;
  readonly netnsPath: string;
  /** Whether ADD or DEL may have been under way; else what a plugin has left running is its own affair. */
  readonly hasPlugins: boolean;
}

/**
 * Waits for CNI plugins, and programs in a pod's namespace, that a daemon before this one has left running, and ends them when that takes
 * too long, with what they started. Answers how many processes it has ended, and those that nothing ends: they hang in the kernel, do nothing
 * more, and are no reason for a node to be without its runtime. No two plugins may run for one container, and GC runs beside
 * no ADD, whose lease it does not know (CNI specification, section 3); and what ends after the release that undoes it would leave everything
 * behind. A DHCP server bears no mark: it is to live on.
 */
export async function endOrphans({
  stateDir,
  sandboxes,
}: OrphanedBy): Promise<{ readonly ended: number; readonly stuck: readonly number[] }> {
  const ofSandboxes = sandboxes.flatMap(({ sandboxId, netnsPath, hasPlugins }) => [
    netnsMark(netnsPath),
    ...(hasPlugins ? [`CNI_CONTAINERID=${sandboxId}`] : []),
  ]);
  const ofCollection = Object.entries(collectionMark(stateDir)).map((entry) => entry.join('='));
  const marks = new Set([...ofCollection, ...ofSandboxes]);
  let ended = 0;
  const stuck = new Set<number>();
  const end = performance.now() + patienceMs;
  while (performance.now() < end && (await markedBy(marks)).length > 0) await delay(50);
  for (let look = 0; look < looks; look += 1) {
    const found = (await markedBy(marks)).filter((pid) => !stuck.has(pid)).flatMap((pid) => identify(pid) ?? []);
    if (found.length === 0) break;
    const stops = await Promise.allSettled(found.map(async (process) => stopHelper(process, graceMs)));
    const left = found.filter((_process, index) => stops[index]?.status === 'rejected');
    for (const { pid } of left) stuck.add(pid);
    ended += found.length - left.length;
  }
  return { ended, stuck: [...stuck] };
}

async function markedBy(marks: ReadonlySet<string>): Promise<readonly number[]> {
  const names = (await readdir('/proc')).filter((name) => /^[1-9][0-9]*$/.test(name));
  const pids: number[] = [];
  for (const pid of names.map(Number)) {
    const entries = (await environOf(pid)).split('\0');
    if (entries.some((entry) => marks.has(entry))) pids.push(pid);
  }
  return pids;
}

async function environOf(pid: number): Promise<string> {
  try {
    await using handle = await open(`/proc/${pid}/environ`, 'r');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(environBytes), 0, environBytes, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return ''; // it has ended, or is none of ours
    throw error;
  }
}
