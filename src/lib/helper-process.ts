import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from './errno.ts';
import { statFields } from './proc-stat.ts';
import { programPath } from './run-program.ts';
import { spawnTurn } from './spawn-turn.ts';

/**
 * A process that outlives the daemon, identified so that a reused pid is never mistaken for it:
 * `startTicks` is field 22 of /proc/PID/stat (clock ticks after boot; proc(5)).
 */
export interface HelperIdentity {
  readonly pid: number;
  readonly startTicks: string;
}

/** How a helper is started. */
export interface HelperOptions {
  /** File that gets stdout and stderr, appended to. */
  readonly logFile: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a program in a session of its own, detached from the daemon, and answers its identity. Throws when it cannot be executed. */
export async function startHelper(program: string, args: readonly string[], options: HelperOptions): Promise<HelperIdentity> {
  await spawnTurn();
  const out = openSync(options.logFile, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', out, out],
      cwd: options.cwd ?? '/',
      env: options.env ?? { PATH: programPath, LC_ALL: 'C' },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = child.pid ?? 0;
    try {
      return { pid, startTicks: startTicksOf(pid) ?? '0' };
    } catch (error) {
      child.kill('SIGKILL'); // nobody would know of it
      throw error;
    }
  } finally {
    closeSync(out);
  }
}

/** The identity of a living process (zombies do not count), or `undefined`. */
export function identify(pid: number): HelperIdentity | undefined {
  const startTicks = startTicksOf(pid);
  return startTicks === undefined ? undefined : { pid, startTicks };
}

/** True while exactly this process lives; false for a zombie and for another process with the same pid. */
export function isAlive(helper: HelperIdentity): boolean {
  return startTicksOf(helper.pid) === helper.startTicks;
}

/** Ends a helper: SIGTERM, after `graceMs` SIGKILL. Answers once it is gone; a helper that is gone already is fine. Throws if it survives SIGKILL for 10 s. */
export async function stopHelper(helper: HelperIdentity, graceMs = 2_000): Promise<void> {
  for (const [signal, waitMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 10_000],
  ] as const) {
    if (!isAlive(helper)) return;
    try {
      process.kill(helper.pid, signal);
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
    const end = performance.now() + waitMs;
    while (isAlive(helper) && performance.now() < end) await delay(20);
  }
  if (isAlive(helper)) throw new Error(`process ${helper.pid} survived SIGKILL`);
}

function startTicksOf(pid: number): string | undefined {
  try {
    const fields = statFields(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}
