import { constants } from 'node:fs';
import { lstat, open, readdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import { cutNotice } from './backlog.ts';
import type { Position } from './position.ts';
import { isTornEntry, matchEntries, matchNotice, type Match } from './resume.ts';

/** Where following goes on. */
export interface TakenUp {
  readonly consoleOffset: number;
  /** Left out bytes that the log has yet to be told of. */
  readonly cutBytes: number;
  /** False when the log has something behind the known position that is not this console's. */
  readonly isOwn: boolean;
}

/** Bytes looked at in one go: many times an entry's, some milliseconds of work also where all lines are empty. */
const windowBytes = 2 ** 18;
const nothing = Buffer.alloc(0);
const { O_RDONLY, O_RDWR, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Finds where a follower that was killed had got to: entries behind the known position are looked up in the console, a torn last one is
 * cut off. The log is found by its inode, at its own path or renamed (`<path>.*`, as a kubelet rotates). One that is gone, or shorter than known, adds nothing.
 */
export async function takeUp(logFile: string, consoleFile: string, position: Position): Promise<TakenUp> {
  const path = await findLog(logFile, position.logInode);
  const known: TakenUp = { consoleOffset: position.consoleOffset, cutBytes: position.cutBytes, isOwn: true };
  if (path === undefined) return known;
  await using log = await open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if ((await log.stat()).size <= position.logSize) return known;
  await using console = await openConsole(consoleFile);
  return await matchTail(log, console, position);
}

/** Opens a console file, or answers `undefined` while there is none. */
export async function openConsole(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function matchTail(log: FileHandle, console: FileHandle | undefined, position: Position): Promise<TakenUp> {
  let { consoleOffset, logSize, cutBytes } = position;
  for (;;) {
    const entries = await readAt(log, logSize);
    const noticeBytes = cutBytes === 0 ? 0 : matchNotice(entries, cutNotice(cutBytes));
    if (noticeBytes > 0) cutBytes = 0;
    const tail = entries.subarray(noticeBytes);
    const match = cutBytes === 0 ? matchEntries(console ? await readAt(console, consoleOffset) : nothing, tail) : unmatched(tail);
    consoleOffset += match.consumed;
    logSize += noticeBytes + match.kept;
    if (noticeBytes + match.kept > 0) continue; // another window, until nothing more is found
    const isTorn = match.stop === 'torn' && isTornEntry(tail);
    if (isTorn) await log.truncate(logSize);
    return { consoleOffset, cutBytes, isOwn: isTorn || match.stop === 'end' };
  }
}

/** While a notice is owed, nothing of the console can be behind it. */
function unmatched(tail: Buffer): Match {
  const stop = tail.length === 0 ? 'end' : tail.includes(10) ? 'foreign' : 'torn';
  return { consumed: 0, kept: 0, stop };
}

async function readAt(handle: FileHandle, position: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(windowBytes), 0, windowBytes, position);
  return buffer.subarray(0, bytesRead);
}

async function findLog(logFile: string, inode: string): Promise<string | undefined> {
  if (await hasInode(logFile, inode)) return logFile;
  const dir = dirname(logFile);
  const names = await readdir(dir).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  for (const name of names) {
    if (name.startsWith(`${basename(logFile)}.`) && (await hasInode(join(dir, name), inode))) return join(dir, name);
  }
  return undefined;
}

async function hasInode(path: string, inode: string): Promise<boolean> {
  try {
    const stat = await lstat(path, { bigint: true });
    return stat.isFile() && String(stat.ino) === inode;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
