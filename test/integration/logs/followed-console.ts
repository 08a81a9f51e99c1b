import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import { makeLogs, type ConsoleLog, type ConsoleLogRequest, type LogsOptions } from '../../../src/logs/logs.ts';
import { joinLines, parseLog, type LogEntry } from '../../kubelet/cri-log.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

export const signal = AbortSignal.timeout(600_000);

/** A console file with its log, and what a test does to them. */
export interface FollowedConsole {
  readonly request: ConsoleLogRequest & { readonly logFile: string };
  /** Follows until the test's end, or until it is finished or paused. */
  readonly follow: (options?: Partial<LogsOptions>, log?: Log) => Promise<ConsoleLog>;
  /** Appends as QEMU does: latin1 text, byte for byte. */
  readonly append: (text: string) => void;
  readonly consoleText: () => string;
  readonly entries: () => LogEntry[];
  readonly lines: () => string[];
  /** Waits until the log has exactly these lines. */
  readonly waitForLines: (lines: readonly string[]) => Promise<void>;
}

/** A console in fresh directories; `dirs` places files elsewhere. */
export function newConsole(
  dirs: { readonly logDir?: string; readonly positionDir?: string; readonly consoleDir?: string } = {},
): FollowedConsole {
  const dir = tempDir();
  const logFile = join(dirs.logDir ?? dir, '0.log');
  const consoleFile = join(dirs.consoleDir ?? dir, 'console.log');
  const request = { containerId: 'c1', consoleFile, logFile, positionFile: join(dirs.positionDir ?? dir, 'console.position') };
  const entries = (): LogEntry[] => readEntries(logFile);
  const lines = (): string[] => joinLines(entries());
  return {
    request,
    follow: async (options = {}, log = silentLog) => followOne(request, options, log),
    append: (text) => appendFileSync(consoleFile, text, 'latin1'),
    consoleText: () => readFileSync(consoleFile, 'latin1'),
    entries,
    lines,
    waitForLines: async (expected) => {
      const text = expected.join('\n');
      await waitFor(() => existsSync(logFile) && lines().join('\n') === text, {
        timeoutMs: 30_000,
        what: 'log with the lines',
        everyMs: 10,
      });
    },
  };
}

/** Follows any console; paused when the running test ends. */
export async function followOne(request: ConsoleLogRequest, options: Partial<LogsOptions> = {}, log = silentLog): Promise<ConsoleLog> {
  const console = await makeLogs({ maxBacklogBytes: 2 ** 28, ...options }, { log }).follow(request, signal);
  onTestFinished(console.pause);
  return console;
}

/** The entries of a log, strictly: throws for what is none. */
export function readEntries(logFile: string): LogEntry[] {
  return parseLog(readFileSync(logFile, 'latin1'));
}

/** Numbered lines, about 100 bytes each. */
export function numbered(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `line ${from + index} ${'.'.repeat(80)}`);
}

/** Lines as a guest prints them. */
export function printed(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** Bytes that a file takes on its file system. */
export function usedBytes(file: string): number {
  return statSync(file).blocks * 512;
}
