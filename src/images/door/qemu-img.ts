import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errno.ts';
import { programPath } from '../../lib/run-program.ts';
import { PullProblem } from '../failures.ts';
import { confinedFile, runConfined, type ConfinedOptions, type ConfinedResult } from './confined.ts';
import { parseQemuVersion } from './qemu-report.ts';

/** The program that reads disks, always confined. */
export interface QemuImg {
  /**
   * Runs it and answers how it ended. Throws `PullProblem` when it cannot be run at all: after a run that fails, its version is asked for, and
   * only if that works is the failure the disk's.
   */
  readonly run: (args: readonly string[], how: Omit<ConfinedOptions, 'user'>, signal: AbortSignal) => Promise<ConfinedResult>;
  /** Its version; asked for once for each state of the program's file. Throws `PullProblem` when it cannot be run. */
  readonly version: (signal: AbortSignal) => Promise<string>;
}

/** Which program it is, and whom it runs as. */
export interface QemuImgOptions {
  /** `qemu-img`, or an absolute path. */
  readonly program: string;
  readonly user: ConfinedOptions['user'];
}

/** Makes the runs of qemu-img. */
export function makeQemuImg({ program, user }: QemuImgOptions): QemuImg {
  let known: { readonly file: string; readonly version: string } | undefined;

  async function confined(args: readonly string[], how: Omit<ConfinedOptions, 'user'>, signal: AbortSignal): Promise<ConfinedResult> {
    return runConfined([program, ...args], { user, ...how }, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new PullProblem('inspection', `disks cannot be inspected: ${messageOf(error)}`, { cause: error });
    });
  }

  async function askVersion(signal: AbortSignal): Promise<string> {
    const result = await confined(['--version'], {}, signal);
    const version = result.exitCode === 0 ? parseQemuVersion(result.stdout) : undefined;
    if (version !== undefined) return version;
    throw new PullProblem('inspection', `disks cannot be inspected: ${program} --version: ${endingOf(result)}${saidBy(result)}`);
  }

  async function version(signal: AbortSignal): Promise<string> {
    const file = await stateOf(program);
    if (known !== undefined && known.file === file) return known.version;
    const answer = await askVersion(signal);
    known = file === undefined ? undefined : { file, version: answer };
    return answer;
  }

  return {
    version,
    run: async (args, how, signal) => {
      const result = await confined(args, how, signal);
      if (result.exitCode !== 0) await askVersion(signal);
      return result;
    },
  };
}

/** How QEMU is told to open the confined file: format and backing are named, so that nothing in the disk decides what is opened. */
export function opened(driver: string): string {
  return `json:${JSON.stringify({ driver, backing: null, file: { driver: 'file', filename: confinedFile } })}`;
}

/** How a run ended, in words. */
export function endingOf(result: ConfinedResult): string {
  if (result.killed === 'timeout') return 'did not end in time';
  if (result.killed === 'output') return 'said too much';
  return result.signal === null ? `exit status ${result.exitCode}` : `died by ${result.signal}`;
}

/** The end of what it said, in printable characters only: the text may quote the disk. `''` if it said nothing. */
export function saidBy(result: ConfinedResult): string {
  const text = result.stderr
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(-100);
  return text === '' ? '' : `: ${text}`;
}

/** What changes when the program's file does; `undefined` if it is not found. */
async function stateOf(program: string): Promise<string | undefined> {
  const candidates = program.includes('/') ? [program] : programPath.split(':').map((dir) => join(dir, program));
  for (const path of candidates) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return [path, found.dev, found.ino, found.size, found.mtimeMs, found.ctimeMs].join(' ');
  }
  return undefined;
}
