import type { FileHandle } from 'node:fs/promises';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { bytesToLineStart, cutNotice, cutTarget, lineSearchBytes } from './backlog.ts';
import { encodeEntries, encodeNotice, entryTime, type Rest } from './entries.ts';
import { freeStepBytes, type SpaceSaver } from './free-space.ts';
import { openLog, type LogFile } from './log-file.ts';
import { writePosition } from './position.ts';
import { matchEntries } from './resume.ts';
import type { Scratch } from './scratch.ts';
import type { ConsoleFiles } from './starting-point.ts';
import { openConsole } from './take-up.ts';

/** How far a move got, bytes of the console file. */
export interface Moved {
  readonly offset: number;
  readonly size: number;
  /** False when there is nothing more to do before the file grows or `rest` changes. */
  readonly hasMoved: boolean;
}

/**
 * The way of one console into its log. Calls must not overlap. INVARIANTS: the log has exactly what lies before the offset; the position
 * on disk never claims more than that; only what lies before the position on disk is freed.
 */
export interface Transfer {
  /**
   * Moves at most one chunk. `restAt` says, from the file's size, what becomes of an unfinished line at its end. Throws the system's
   * error when log or position cannot be written; nothing is lost, another call goes on.
   */
  readonly move: (restAt: (size: number) => Rest, scratch: Scratch) => Promise<Moved>;
  /** Goes on in a log that is opened anew at the same path. Throws the system's error and then keeps the old one. */
  readonly reopen: () => Promise<void>;
  /** Notes the position and closes the files. */
  readonly close: () => Promise<void>;
}

/** What a transfer works with. */
export interface TransferParts {
  readonly files: ConsoleFiles;
  /** Where it begins. */
  readonly start: { readonly consoleOffset: number; readonly cutBytes: number };
  /** The open log; without one the output is discarded. */
  readonly logFile: LogFile | undefined;
  readonly space: SpaceSaver;
  readonly maxBacklogBytes: number;
  readonly nowMs: () => number;
  readonly log: Log;
}

/** Makes a transfer and notes its position. Throws the system's error when that cannot be written. */
export async function makeTransfer(parts: TransferParts): Promise<Transfer> {
  const { files, space, maxBacklogBytes, nowMs, log } = parts;
  let { logFile } = parts;
  let { consoleOffset: offset, cutBytes } = parts.start;
  let savedOffset = offset;
  let console: FileHandle | undefined;

  async function save(to: { readonly offset: number; readonly cutBytes: number; readonly logFile: LogFile | undefined }): Promise<void> {
    const log = { logInode: to.logFile?.inode ?? '', logSize: to.logFile?.size() ?? 0 };
    await writePosition(files.positionFile, { consoleOffset: to.offset, cutBytes: to.cutBytes, ...log });
    ({ offset, cutBytes, logFile } = to);
    savedOffset = offset;
    space.freeBefore(savedOffset);
  }

  async function read(into: Buffer, from: number, length: number): Promise<Buffer> {
    if (!console || length <= 0) return into.subarray(0, 0);
    const { bytesRead } = await console.read(into, 0, Math.min(length, into.length), from);
    return into.subarray(0, bytesRead);
  }

  async function cut(size: number, { chunk }: Scratch): Promise<void> {
    const target = cutTarget({ offset, size, maxBytes: maxBacklogBytes });
    if (target === undefined) return;
    const to = target + bytesToLineStart(await read(chunk, target - 1, Math.min(lineSearchBytes, size - target)));
    log.warn({ bytes: to - offset, maxBacklogBytes }, 'console output was left out, more had piled up than may wait for the log');
    await save({ offset: to, cutBytes: cutBytes + to - offset, logFile });
  }

  async function payNotice(to: LogFile): Promise<void> {
    if (cutBytes === 0) return;
    const notice = encodeNotice(cutNotice(cutBytes), entryTime(nowMs()));
    const { error } = await to.append(notice, () => 0);
    if (error) throw error;
    cutBytes = 0;
  }

  async function moveInto(to: LogFile, upTo: { readonly size: number; readonly rest: Rest }, scratch: Scratch): Promise<void> {
    const { size, rest } = upTo;
    const chunk = await read(scratch.chunk, offset, size - offset);
    const isEnd = offset + chunk.length === size;
    const { log: entries, consumed } = encodeEntries(chunk, entryTime(nowMs()), isEnd ? rest : 'keep', scratch.entries);
    if (consumed === 0) return;
    const { kept, error } = await to.append(entries, (written) => matchEntries(chunk, written).kept);
    offset += error === undefined ? consumed : matchEntries(chunk, entries.subarray(0, kept)).consumed;
    if (error) throw error;
  }

  async function sizeOfConsole(): Promise<number> {
    console ??= await openConsole(files.consoleFile);
    const size = (await console?.stat())?.size ?? 0;
    if (console && size < offset) {
      log.warn({ offset, size }, 'a console file was truncated; it is read from its start');
      await save({ offset: 0, cutBytes, logFile });
    }
    return size;
  }

  await save({ offset, cutBytes, logFile });

  return {
    move: async (restAt, scratch) => {
      space.freeBefore(savedOffset);
      const size = await sizeOfConsole();
      const rest = restAt(size);
      const before = offset;
      if (logFile) {
        await cut(size, scratch);
        await payNotice(logFile);
        await moveInto(logFile, { size, rest }, scratch);
      } else {
        offset = Math.max(offset, size);
      }
      if (offset - savedOffset >= freeStepBytes) await save({ offset, cutBytes, logFile });
      return { offset, size, hasMoved: offset > before };
    },
    reopen: async () => {
      if (!logFile || files.logFile === undefined) return;
      const old = logFile;
      const opened = await openLog(files.logFile);
      try {
        await save({ offset, cutBytes, logFile: opened });
      } catch (error) {
        await opened.close();
        throw error;
      }
      await old.close();
    },
    close: async () => {
      try {
        await save({ offset, cutBytes, logFile });
      } catch (error) {
        log.warn({ problem: messageOf(error) }, 'the position of a console could not be noted; the log itself will tell it');
      }
      await Promise.all([logFile?.close(), console?.close(), space.settled()]);
    },
  };
}
