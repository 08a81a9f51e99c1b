import { cellFailed, type CellOptions } from './cell.ts';
import { collectText, spawnConfined, type ProcessEnd } from './confined-child.ts';

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
export interface ConfinedResult extends ProcessEnd {
  readonly stdout: string;
  readonly stderr: string;
  readonly killed: 'timeout' | 'output' | undefined;
}

/** The paths under which the program finds its files. */
export const confinedFile = '/proc/self/fd/3';
export const confinedOutput = '/proc/self/fd/4';

const maxOutputBytes = 65_536;

/**
 * Runs a program as `spawnConfined` says to its end, with at most 64 KiB each of stdout and stderr. Throws when it cannot be started and the
 * signal's reason when aborted; any other end is a result.
 */
export async function runConfined(command: readonly string[], options: ConfinedOptions, signal: AbortSignal): Promise<ConfinedResult> {
  signal.throwIfAborted();
  const child = spawnConfined(command, { ...options, stdin: 'ignore' });
  let killed: ConfinedResult['killed'];
  const end = (why: ConfinedResult['killed']): void => {
    killed ??= why;
    child.kill();
  };
  const stdout = collectText(child.process.stdout, maxOutputBytes, () => end('output'));
  const stderr = collectText(child.process.stderr, maxOutputBytes, () => end('output'));
  const timer = setTimeout(() => end('timeout'), options.timeoutMs ?? 60_000);
  const onAbort = (): void => end(undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const ending = await child.ended;
    signal.throwIfAborted();
    if (ending.exitCode === cellFailed) throw new Error(`no cell for ${command[0]}: ${stderr().trim().slice(-300)}`);
    return { stdout: stdout(), stderr: stderr(), ...ending, killed };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    child.kill(); // whatever it left behind
  }
}
