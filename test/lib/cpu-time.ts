import { readFileSync } from 'node:fs';
import { statFields } from '../../src/lib/proc-stat.ts';

/** CPU time, user and system, milliseconds. */
export interface CpuTime {
  /** Of the process itself, all its threads. */
  readonly own: number;
  /** Of the children that have ended and been waited for, and of theirs. */
  readonly children: number;
}

/** The kernel tells CPU times in hundredths of a second on every architecture that Node runs on (USER_HZ, proc_pid_stat(5)). */
const msPerTick = 10;

/** CPU time of a process so far. Throws the system's error when there is none. */
export function cpuTime(pid: number): CpuTime {
  const fields = statFields(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map((ticks) => Number(ticks) * msPerTick);
  return { own: (user ?? 0) + (system ?? 0), children: (childrenUser ?? 0) + (childrenSystem ?? 0) };
}
