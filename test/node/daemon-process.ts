import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { programPath } from '../../src/lib/run-program.ts';

const mainProgram = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** How the daemon is started. */
export interface DaemonOptions {
  readonly configFile: string;
  /** An empty or absent directory, so that the machine's own drop-ins have no say. */
  readonly configDir: string;
  readonly logFile: string;
  /** Another entry that takes the same flags; default `src/main.ts`. */
  readonly program?: string;
  /** Environment beyond PATH and LC_ALL. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The daemon as a child process in a session of its own: a Ctrl-C at the terminal is for its parent alone. */
export interface DaemonProcess {
  readonly pid: number;
  /** Settles when it has ended, with its exit code or signal. */
  readonly ended: Promise<string>;
  readonly hasEnded: () => boolean;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** SIGTERM, after `graceMs` SIGKILL; answers how it ended. */
  readonly end: (graceMs: number) => Promise<string>;
  /** Lets this process end while the daemon runs. */
  readonly unref: () => void;
}

/** Starts the daemon; its log is appended to `logFile`. */
export async function startDaemonProcess(options: DaemonOptions): Promise<DaemonProcess> {
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    const child = spawn(
      process.execPath,
      [options.program ?? mainProgram, '--config', options.configFile, '--config-dir', options.configDir],
      {
        detached: true,
        stdio: ['ignore', log, log],
        cwd: '/',
        env: { PATH: programPath, LC_ALL: 'C', ...options.env },
      },
    );
    const ended = endOf(child);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return {
      pid: child.pid ?? 0,
      ended,
      hasEnded: () => child.exitCode !== null || child.signalCode !== null,
      kill: (signal) => void child.kill(signal),
      end: async (graceMs) => {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        const how = await ended;
        clearTimeout(timer);
        return how;
      },
      unref: () => child.unref(),
    };
  } finally {
    closeSync(log);
  }
}

/** The end of a log file, at most `lines` lines. */
export function tailOf(file: string, lines: number): string {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

async function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    child.once('error', (error) => resolve(error.message));
  });
}
