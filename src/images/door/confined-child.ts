import { spawn, type ChildProcess } from 'node:child_process';
import { isErrno } from '../../lib/errno.ts';
import { programPath } from '../../lib/run-program.ts';

/** Whom a program that reads hostile bytes runs as; without any other group and without capabilities. */
export interface ConfinedUser {
  readonly uid: number;
  readonly gid: number;
}

/** What such a program may use at most (prlimit(1)). */
export interface ConfinedLimits {
  readonly addressSpaceBytes: number;
  readonly cpuSeconds: number;
}

/** How it is started: what it reads from and writes to, as child_process has it. */
export interface ConfinedStart {
  readonly user: ConfinedUser;
  readonly limits: ConfinedLimits;
  readonly stdin: 'ignore' | 'pipe';
  /** A file that it gets as descriptor 3. */
  readonly fd?: number | undefined;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** A program that runs confined. */
export interface ConfinedChild {
  readonly process: ChildProcess;
  /** Answers when it has ended and its output is read; throws when it could not be started. */
  readonly ended: Promise<ProcessEnd>;
  /** Ends it and all that it started; does nothing if they have gone. */
  readonly kill: () => void;
}

/**
 * Starts a program in a network namespace of its own, under limits (those given, no file written, 64 files, no core), as an unprivileged user
 * who cannot gain privileges, in a session that is killed as a whole. Needs root.
 */
export function spawnConfined(command: readonly string[], start: ConfinedStart): ConfinedChild {
  const { uid, gid } = start.user;
  const { addressSpaceBytes, cpuSeconds } = start.limits;
  const limits = [`--as=${addressSpaceBytes}`, `--cpu=${cpuSeconds}`, '--fsize=0', '--nofile=64', '--core=0'];
  const drop = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'];
  const child = spawn('unshare', ['--net', '--', 'prlimit', ...limits, '--', 'setpriv', ...drop, '--', ...command], {
    cwd: '/',
    detached: true,
    env: { PATH: programPath, LC_ALL: 'C' },
    stdio: [start.stdin, 'pipe', 'pipe', start.fd ?? 'ignore'],
  });
  const ended = new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  ended.catch(() => undefined); // whoever waits for it is told
  return { process: child, ended, kill: () => killGroup(child) };
}

/** Keeps the first `maxBytes` of a stream as text; `tooMuch` is called for each piece beyond. */
export function collectText(stream: ChildProcess['stdout'], maxBytes: number, tooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (length < maxBytes) chunks.push(chunk.subarray(0, maxBytes - length));
    length += chunk.length;
    if (length > maxBytes) tooMuch();
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
