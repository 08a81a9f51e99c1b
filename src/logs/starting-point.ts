import { lstat, stat } from 'node:fs/promises';
import { isErrno } from '../lib/errno.ts';
import { readPosition } from './position.ts';
import { takeUp, type TakenUp } from './take-up.ts';

/** Files of a console's way into its log. */
export interface ConsoleFiles {
  readonly consoleFile: string;
  readonly logFile: string | undefined;
  readonly positionFile: string;
}

/** Finds where to begin or go on: at the console's start, or where an earlier follower had got to, however it ended. */
export async function findStart({ consoleFile, logFile, positionFile }: ConsoleFiles): Promise<TakenUp> {
  const position = await readPosition(positionFile);
  if (position === undefined) return { consoleOffset: 0, cutBytes: 0, isOwn: true };
  if (position === 'unreadable') return findLost(consoleFile, logFile);
  if (logFile === undefined) return { consoleOffset: position.consoleOffset, cutBytes: 0, isOwn: true };
  return takeUp(logFile, consoleFile, position);
}

/**
 * The position was lost (a machine that crashed). When the log does not tell either, what the console has now is left out, and the log
 * says so: it may be in the log already, and its freed part would read as zeros.
 */
async function findLost(consoleFile: string, logFile: string | undefined): Promise<TakenUp> {
  const console = await orMissing(stat(consoleFile));
  const end = console?.size ?? 0;
  if (logFile === undefined) return { consoleOffset: end, cutBytes: 0, isOwn: false };
  const log = await orMissing(lstat(logFile, { bigint: true }));
  const start = { consoleOffset: 0, logInode: String(log?.ino ?? ''), logSize: 0, cutBytes: 0 };
  const found = await takeUp(logFile, consoleFile, start);
  const hasHoles = console !== undefined && console.blocks * 512 < console.size;
  return found.isOwn && !hasHoles ? found : { consoleOffset: end, cutBytes: end - found.consoleOffset, isOwn: false };
}

async function orMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
