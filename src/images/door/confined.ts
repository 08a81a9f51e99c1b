import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { isErrno } from '../../lib/errno.ts';
import { programPath } from '../../lib/run-program.ts';
import { cellFailed, inCell, type CellOptions } from './cell.ts';

/** How a program that reads hostile bytes is run. */
export interface ConfinedOptions extends CellOptions {
  /** A file it gets as `confinedFile`, opened by us: what it reads is what was inspected, wherever it lies. */
  readonly fd?: number;
  /** A file it gets as `confinedOutput`, opened by us for writing. */
  readonly outputFd?: number;
  /** Longest run by the clock, milliseconds; default 60 000. The group is then killed. */
  readonly timeoutMs?: number;
}

/** How it ended; `killed` says why we ended it. */
export interface ConfinedResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly killed: 'timeout' | 'output' | undefined;
}

/** The paths under which the program finds its files. */
export const confinedFile = '/proc/self/fd/3';
export const confinedOutput = '/proc/self/fd/4';

const maxOutputBytes = 65_536;

/**
 * Runs a program in a cell (see `inCell`), with at most 64 KiB each of stdout and stderr, in a session that is killed as a whole. Throws when it
 * cannot be started and the signal's reason when aborted; any other end is a result. Needs root.
 */
export async function runConfined(command: readonly string[], options: ConfinedOptions, signal: AbortSignal): Promise<ConfinedResult> {
  signal.throwIfAborted();
  const [program, ...args] = inCell(command, options);
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    env: { PATH: programPath, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe', options.fd ?? 'ignore', options.outputFd ?? 'ignore'],
  });
  let killed: ConfinedResult['killed'];
  const end = (why: ConfinedResult['killed']): void => {
    killed ??= why;
    killGroup(child);
  };
  const stdout = collect(child.stdout, () => end('output'));
  const stderr = collect(child.stderr, () => end('output'));
  const timer = setTimeout(() => end('timeout'), options.timeoutMs ?? 60_000);
  const onAbort = (): void => end(undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const [exitCode, ending] = await ended(child);
    signal.throwIfAborted();
    if (exitCode === cellFailed) throw new Error(`no cell for ${command[0]}: ${stderr().trim().slice(-300)}`);
    return { stdout: stdout(), stderr: stderr(), exitCode, signal: ending, killed };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    killGroup(child); // whatever it left behind
  }
}

async function ended(child: ChildProcess): Promise<[number | null, string | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) =>
      resolve(exitCode !== null && exitCode > 128 ? [null, signalName(exitCode - 128)] : [exitCode, signal]),
    );
  });
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}

function collect(stream: ChildProcess['stdout'], tooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (length < maxOutputBytes) chunks.push(chunk.subarray(0, maxOutputBytes - length));
    length += chunk.length;
    if (length > maxOutputBytes) tooMuch();
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
