import { execa, type ResultPromise } from 'execa';
import { messageOf } from './errno.ts';
import { withTimeout } from './signals.ts';
import { spawnTurn } from './spawn-turn.ts';

/** What a program printed and how it ended. */
export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit status; `undefined` when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
}

/** How a program is run. */
export interface ProgramOptions {
  readonly signal: AbortSignal;
  /**
   * Longest run; the program then gets SIGTERM, and SIGKILL after 2 s more. What it left behind is not waited for, even if it has the
   * output open. Default 30 000 ms.
   */
  readonly timeoutMs?: number;
  /** Longest stdout and stderr that are kept, each; more ends the program. Default 1 MiB. */
  readonly maxOutputBytes?: number;
  readonly input?: string;
  /** The complete environment; default: PATH and LC_ALL=C only, so that nothing leaks into programs. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A program that failed: exit status other than 0, a signal, a timeout, too much output, or it could not be started. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  readonly program: string;
  readonly result: ProgramResult;
  readonly timedOut: boolean;

  constructor(message: string, facts: { program: string; result: ProgramResult; timedOut: boolean; cause?: unknown }) {
    super(message, { cause: facts.cause });
    this.program = facts.program;
    this.result = facts.result;
    this.timedOut = facts.timedOut;
  }
}

/** Directories that programs are looked for in; a daemon's own PATH may lack sbin. */
export const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a program without a shell and answers how it ended, whatever its exit status. Throws `ProgramError` if it did not run to its end. */
export async function tryProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  await spawnTurn();
  options.signal.throwIfAborted();
  using within = withTimeout(options.signal, options.timeoutMs ?? 30_000, program);
  const running = execa(program, args, {
    reject: false,
    encoding: 'buffer', // else output is counted in characters
    cancelSignal: within,
    forceKillAfterDelay: 2_000,
    maxBuffer: options.maxOutputBytes ?? 2 ** 20,
    stripFinalNewline: false,
    extendEnv: false,
    env: options.env ?? { PATH: programPath, LC_ALL: 'C' },
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  letGoOfOutput(running, within);
  const outcome = await running;
  const result: ProgramResult = {
    stdout: textOf(outcome.stdout),
    stderr: textOf(outcome.stderr),
    exitCode: outcome.exitCode,
    signal: outcome.signal,
  };
  if (outcome.isCanceled) options.signal.throwIfAborted();
  const timedOut = outcome.isCanceled;
  if (timedOut || outcome.isMaxBuffer || (outcome.failed && outcome.exitCode === undefined && !outcome.signal)) {
    const message = timedOut ? messageOf(within.reason) : `${program}: ${outcome.originalMessage ?? outcome.shortMessage}`;
    throw new ProgramError(message, { program, result, timedOut, cause: outcome.cause });
  }
  return result;
}

/** What a program leaves behind may have its output open: once it has ended and was told to end, nobody waits for the rest. */
function letGoOfOutput({ nodeChildProcess: child }: Pick<ResultPromise, 'nodeChildProcess'>, told: AbortSignal): void {
  const letGo = (): void => {
    if (child.exitCode === null && child.signalCode === null) return;
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  child.once('exit', () => {
    if (child.killed) letGo();
  });
  told.addEventListener('abort', letGo, { once: true });
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8') : '';
}

/** Runs a program to its end and answers what it printed. Throws `ProgramError`, whose message quotes the end of stderr, unless it exits with 0. */
export async function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const result = await tryProgram(program, args, options);
  if (result.exitCode === 0) return result;
  const how = result.signal ? `ended by ${result.signal}` : `exit status ${result.exitCode}`;
  const said = result.stderr.trim().slice(-2_000);
  const command = [program, ...args].join(' ').slice(0, 300);
  throw new ProgramError(`${command}: ${how}${said ? `: ${said}` : ''}`, { program, result, timedOut: false });
}
