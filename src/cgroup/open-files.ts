import { readdirSync, readlinkSync } from 'node:fs';
import { isErrno } from '../lib/errno.ts';

/** Open descriptors of processes, and how many of them are sockets. */
export interface OpenFiles {
  readonly fileDescriptors: number;
  readonly sockets: number;
}

/**
 * Counts what processes have open (proc(5), /proc/PID/fd); one that has ended has nothing. Synchronous on purpose, as
 * `readGroup` is: a link of procfs is read in a microsecond or two.
 */
export function countOpenFiles(pids: readonly number[]): OpenFiles {
  let [fileDescriptors, sockets] = [0, 0];
  for (const pid of pids) {
    for (const target of openFilesOf(pid)) {
      fileDescriptors += 1;
      if (target.startsWith('socket:')) sockets += 1;
    }
  }
  return { fileDescriptors, sockets };
}

function openFilesOf(pid: number): readonly string[] {
  const dir = `/proc/${pid}/fd`;
  return unlessEnded(() => readdirSync(dir), []).map((fd) => unlessEnded(() => readlinkSync(`${dir}/${fd}`), ''));
}

function unlessEnded<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return otherwise;
    throw error;
  }
}
