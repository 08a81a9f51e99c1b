import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { isErrno } from '../../lib/errno.ts';
import { programPath } from '../../lib/run-program.ts';
import { inCell, type CellOptions } from './cell.ts';

/** How a program that reads hostile bytes is started: its cell, and what it reads from and writes to, as child_process has it. */
export interface ConfinedStart extends CellOptions {
  readonly stdin: 'ignore' | 'pipe';
  /** Files that it gets as descriptors 3 and 4. */
  readonly fd?: number | undefined;
  readonly outputFd?: number | undefined;
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

/** Starts a program in a cell (see `inCell`), in a session that is killed as a whole. Needs root. */
export function spawnConfined(command: readonly string[], start: ConfinedStart): ConfinedChild {
  const [program, ...args] = inCell(command, start);
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    env: { PATH: programPath, LC_ALL: 'C', MALLOC_ARENA_MAX: '1' }, // else each thread takes 64 MiB of the address space (mallopt(3))
    stdio: [start.stdin, 'pipe', 'pipe', start.fd ?? 'ignore', start.outputFd ?? 'ignore'],
  });
  const ended = new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(endOf(exitCode, signal)));
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

/** A cell's exit status 128 + n is its program's death by signal n. */
function endOf(exitCode: number | null, signal: string | null): ProcessEnd {
  if (exitCode === null || exitCode <= 128) return { exitCode, signal };
  const number = exitCode - 128;
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { exitCode: null, signal: name ?? `signal ${number}` };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
