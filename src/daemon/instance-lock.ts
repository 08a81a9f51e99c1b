import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import { identify, isAlive } from '../lib/helper-process.ts';

/**
 * Keeps a second daemon off the same state directory. The lock names its holder by pid and start time, so that one that was killed
 * does not lock out its successor.
 */
export async function lockInstance(stateDir: string): Promise<AsyncDisposable> {
  await mkdir(stateDir, { recursive: true, mode: 0o711 });
  const file = join(stateDir, 'daemon.lock');
  const me = identify(process.pid);
  for (;;) {
    try {
      await using handle = await open(file, 'wx', 0o600);
      await handle.writeFile(JSON.stringify(me));
      break;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const holder = await readHolder(file);
    if (holder && isAlive(holder)) throw new Error(`another vmlet (pid ${holder.pid}) uses the state directory ${stateDir}`);
    await rm(file, { force: true });
  }
  return { [Symbol.asyncDispose]: async () => rm(file, { force: true }) };
}

async function readHolder(file: string): Promise<{ pid: number; startTicks: string } | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTicks' in value)) return undefined;
    return typeof value.pid === 'number' && typeof value.startTicks === 'string'
      ? { pid: value.pid, startTicks: value.startTicks }
      : undefined;
  } catch {
    return undefined; // it went away, or its writer was killed half-way
  }
}
