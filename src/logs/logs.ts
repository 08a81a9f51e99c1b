import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { abandonOnAbort } from '../lib/signals.ts';
import { toDiskFull } from '../model/disk-full.ts';
import { startFollower, type Follower, type FollowerTimes } from './follower.ts';
import { makeSpaceSaver } from './free-space.ts';
import { openLog, type LogFile } from './log-file.ts';
import { makeMoves } from './scratch.ts';
import { findStart } from './starting-point.ts';
import { makeTransfer, type Transfer } from './transfer.ts';
import { makeTurns } from './turns.ts';
import { makeWaker } from './waker.ts';

/** One VM's console on its way into a CRI log. */
export interface ConsoleLogRequest {
  readonly containerId: string;
  /** QEMU's log of the serial port; grows at its end, its consumed part is punched out. */
  readonly consoleFile: string;
  /** The CRI log, absolute; `undefined` discards the output (and still frees the console file). */
  readonly logFile: string | undefined;
  /** Where the position is kept so that a restart neither loses nor doubles a line. */
  readonly positionFile: string;
}

/** A console being followed. */
export interface ConsoleLog {
  /**
   * Opens the CRI log anew at the same path, between two entries; when it answers, new lines go there and the old file is closed.
   * Errors: DISK_FULL, INVALID (a link); the old file is then kept.
   */
  readonly reopen: (signal: AbortSignal) => Promise<void>;
  /**
   * Writes all that the console file holds now (an unfinished last line included) and closes. Idempotent. Errors: DISK_FULL when the log
   * cannot be written for some seconds; it is then tried on, until another `finish` or a `pause`.
   */
  readonly finish: () => Promise<void>;
  /** Stops following at once, leaving the rest to a later `follow` with the same position file. Idempotent. */
  readonly pause: () => Promise<void>;
}

/** Follows console files. */
export interface Logs {
  /**
   * Starts or takes up following. The CRI log exists (0640) when it answers. Errors: DISK_FULL, INVALID (`log_path` is a link or no plain
   * file); a missing console file is waited for. A disk that fills up later loses nothing: the console file keeps what cannot be logged,
   * up to `maxBacklogBytes`.
   */
  readonly follow: (request: ConsoleLogRequest, signal: AbortSignal) => Promise<ConsoleLog>;
}

/** How consoles are followed. */
export interface LogsOptions {
  /** Console output that may wait to be logged; of more the oldest is left out, and the log says how much. At least 1 MiB makes sense. */
  readonly maxBacklogBytes: number;
  /** How often a console is looked at where the system has no inotify watch left, or the file is not there yet. Default 500 ms. */
  readonly pollMs?: number;
  readonly times?: Partial<FollowerTimes>;
}

/** What the room needs. */
export interface LogsDeps {
  readonly log: Log;
  /** Unix time in milliseconds, for the entries; the system's by default. */
  readonly nowMs?: () => number;
}

const defaultTimes: FollowerTimes = { quietMs: 250, idleMs: 5_000, gatherMs: 10, retryMs: 2_000, finishMs: 5_000 };

/** Consoles that are read at the same time: as many as libuv has threads. */
const movesAtOnce = 4;

/** Makes the room that follows consoles. */
export function makeLogs(options: LogsOptions, deps: LogsDeps): Logs {
  const { maxBacklogBytes, pollMs = 500 } = options;
  const { nowMs = Date.now } = deps;
  const times = { ...defaultTimes, ...options.times };
  const moves = makeMoves(movesAtOnce);
  const freeingTurns = makeTurns(1);

  async function openTransfer(request: ConsoleLogRequest, log: Log): Promise<Transfer> {
    const { consoleFile, positionFile } = request;
    const start = await findStart(request);
    if (!start.isOwn) log.warn(start, 'the log does not tell for certain what of the console it has');
    const logFile = request.logFile === undefined ? undefined : await makeLog(request.logFile);
    try {
      const space = makeSpaceSaver(consoleFile, { log, turns: freeingTurns });
      return await makeTransfer({ files: request, start, logFile, space, maxBacklogBytes, nowMs, log });
    } catch (error) {
      await logFile?.close();
      throw toDiskFull(error, positionFile);
    }
  }

  return {
    follow: async (request, signal) => {
      signal.throwIfAborted();
      const { containerId, consoleFile, logFile } = request;
      const log = deps.log.child({ containerId, logFile });
      const transfer = await openTransfer(request, log);
      const waker = makeWaker(consoleFile, pollMs);
      return consoleLog(startFollower({ transfer, waker, times, moves, log }), logFile ?? consoleFile);
    },
  };
}

function consoleLog(follower: Follower, path: string): ConsoleLog {
  return {
    reopen: async (signal) =>
      abandonOnAbort(
        inWords(
          path,
          follower.between(async (transfer) => transfer.reopen()),
        ),
        signal,
      ),
    finish: async () => inWords(path, follower.finish()),
    pause: follower.pause,
  };
}

async function inWords<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toDiskFull(error, path);
  }
}

async function makeLog(path: string): Promise<LogFile> {
  try {
    return await openLog(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw toDiskFull(error, path);
  }
  return inWords(
    path,
    mkdir(dirname(path), { recursive: true }).then(async () => openLog(path)),
  );
}
