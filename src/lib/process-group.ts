import { readFile, readdir } from 'node:fs/promises';
import { isErrno } from './errno.ts';
import { statFields } from './proc-stat.ts';

/** Sends a signal to all of a process group; one that is gone is fine. */
export function killGroup(pgid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-pgid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** True while a process of the group lives; zombies do not count (proc(5), stat: state, pgrp). */
export async function isGroupAlive(pgid: number): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^[1-9][0-9]*$/.test(name)) continue;
    const [state, , group] = await statOf(name);
    if (Number(group) === pgid && state !== 'Z' && state !== 'X') return true;
  }
  return false;
}

async function statOf(pid: string): Promise<readonly string[]> {
  try {
    return statFields(await readFile(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
}
