import { collectText, spawnConfined, type ConfinedUser, type ProcessEnd } from './confined-child.ts';

/** How a program that reads hostile bytes is run. */
export interface ConfinedOptions {
  readonly user: ConfinedUser;
  /** A file it gets as `confinedFile`, opened by us: what it reads is what was inspected, wherever it lies. */
  readonly fd?: number;
  /** Longest run by the clock, milliseconds; default 60 000. The group is then killed. */
  readonly timeoutMs?: number;
}

/** How it ended; `killed` says why we ended it. */
export interface ConfinedResult extends ProcessEnd {
  readonly stdout: string;
  readonly stderr: string;
  readonly killed: 'timeout' | 'output' | undefined;
}

/** The path under which the program finds the file. */
export const confinedFile = '/proc/self/fd/3';

const maxOutputBytes = 65_536;
const limits = { addressSpaceBytes: 2 ** 30, cpuSeconds: 20 };

/**
 * Runs a program as `spawnConfined` says, with 1 GiB of address space and 20 s of CPU, to its end. Throws when it cannot be started and the
 * signal's reason when aborted; any other end is a result.
 */
export async function runConfined(command: readonly string[], options: ConfinedOptions, signal: AbortSignal): Promise<ConfinedResult> {
  signal.throwIfAborted();
  const child = spawnConfined(command, { user: options.user, limits, stdin: 'ignore', fd: options.fd });
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
    return { stdout: stdout(), stderr: stderr(), ...ending, killed };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    child.kill(); // whatever it left behind
  }
}
