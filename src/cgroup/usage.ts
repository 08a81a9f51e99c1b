import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { devicePath } from '../lib/block-device.ts';
import { isErrno } from '../lib/errno.ts';
import type { GroupUsage, LeafUsage, Tasks, Throttling } from '../model/statistics.ts';
import { countOpenFiles } from './open-files.ts';
import { numberOf, type DiskCounts, type GroupTexts } from './usage-texts.ts';

/** What the texts of a leaf tell by themselves. */
export interface LeafTexts {
  readonly group: GroupUsage;
  readonly throttling: Throttling | undefined;
  readonly maxMemoryBytes: number | undefined;
  readonly kernelMemoryBytes: number | undefined;
  readonly limitHits: number | undefined;
  readonly oomKills: number;
  readonly disks: readonly DiskCounts[];
}

/** A file to be read: its name in the texts, and the directory it lies in. */
export type GroupFile = readonly [dir: string, file: string];

/**
 * Reads files of one group. `undefined` when none of them is there: the group is gone. Synchronous on purpose: the kernel writes such a
 * file in 10 to 20 us, five turns through the thread pool for it take 80 us of CPU; a VM's 22 files hold the event loop for 0.3 ms.
 */
export function readGroup(files: readonly GroupFile[]): GroupTexts | undefined {
  const texts = files.map(([dir, file]) => [file, readIfThere(join(dir, file))] as const);
  const present = texts.filter((one): one is readonly [string, string] => one[1] !== undefined);
  return present.length === 0 ? undefined : new Map(present);
}

/** Puts a leaf's use together: what its texts tell, the names of its devices and what its processes have open. */
export async function leafUsage(texts: GroupTexts, parse: (texts: GroupTexts) => LeafTexts): Promise<LeafUsage> {
  const { group, throttling, maxMemoryBytes, kernelMemoryBytes, limitHits, oomKills, disks } = parse(texts);
  return {
    ...group,
    ...(throttling ? { throttling } : {}),
    ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
    ...(kernelMemoryBytes === undefined ? {} : { kernelMemoryBytes }),
    ...(limitHits === undefined ? {} : { limitHits }),
    oomKills,
    disks: await Promise.all(disks.map(async (disk) => ({ ...disk, device: await devicePath(disk.number) }))),
    tasks: tasksOf(texts),
  };
}

function tasksOf(texts: GroupTexts): Tasks {
  const pids = (texts.get('cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number);
  const [threads, maxThreads] = [numberOf(texts.get('pids.current')), numberOf(texts.get('pids.max'))];
  return {
    processes: pids.length,
    ...(threads === undefined ? {} : { threads }),
    ...(maxThreads === undefined ? {} : { maxThreads }),
    ...countOpenFiles(pids),
  };
}

/** EOPNOTSUPP: the kernel has no pressure information, or the group is one of threads. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV', 'EOPNOTSUPP')) return undefined;
    throw error;
  }
}
