import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import type { Rest } from './entries.ts';
import type { Moves } from './scratch.ts';
import type { Moved, Transfer } from './transfer.ts';
import { makeTurns } from './turns.ts';
import type { Waker } from './waker.ts';

/** Times of a follower, all in milliseconds. */
export interface FollowerTimes {
  /** An unfinished line that has not grown for so long is written as it is. */
  readonly quietMs: number;
  /** Longest wait without looking, where inotify tells of changes. */
  readonly idleMs: number;
  /** Between a change and the look at it: a guest that prints byte by byte costs few writes. */
  readonly gatherMs: number;
  /** Between attempts when the log cannot be written. */
  readonly retryMs: number;
  /** How long `finish` tries while the log cannot be written. */
  readonly finishMs: number;
}

/** What drives a transfer. */
export interface FollowerParts {
  readonly transfer: Transfer;
  readonly waker: Waker;
  readonly times: FollowerTimes;
  /** Shared by all consoles: bounds what is in memory at once. */
  readonly moves: Moves;
  readonly log: Log;
}

/** Drives a transfer. */
export interface Follower {
  /** Runs between two moves. Throws once the follower is closed. */
  readonly between: (work: (transfer: Transfer) => Promise<void>) => Promise<void>;
  /** Moves all that is there now and closes. Throws the system's error when the log cannot be written; then it goes on trying. */
  readonly finish: () => Promise<void>;
  /** Closes after the move under way. */
  readonly pause: () => Promise<void>;
}

/** Starts to follow. INVARIANT: at most one of the loop, `finish` and `close` moves; each sees the transfer between two calls of it. */
export function startFollower({ transfer, waker, times, moves, log }: FollowerParts): Follower {
  const oneAtATime = makeTurns(1);
  let restWhenQuiet: Rest = 'flush';
  let lastRest: Rest = 'keep';
  let seenSize = 0;
  let grewAtMs = performance.now();
  let isFailing = false;
  let isPaused = false;
  let finishing: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  let halt = new AbortController();
  let loop = run(halt.signal);

  function restAt(size: number): Rest {
    if (size !== seenSize) grewAtMs = performance.now();
    seenSize = size;
    lastRest = restWhenQuiet === 'all' || performance.now() - grewAtMs >= times.quietMs ? restWhenQuiet : 'keep';
    return lastRest;
  }

  async function move(): Promise<Moved> {
    try {
      const moved = await oneAtATime(async () => moves(async (scratch) => transfer.move(restAt, scratch)));
      if (isFailing) log.info({}, 'console output can be logged again');
      isFailing = false;
      return moved;
    } catch (error) {
      if (!isFailing) log.error({ problem: messageOf(error) }, 'console output cannot be logged now; it waits in the console file');
      isFailing = true;
      throw error;
    }
  }

  async function nap(ms: number, signal: AbortSignal): Promise<void> {
    await delay(ms, undefined, { signal }).catch(() => undefined); // halted: there is something else to do
  }

  async function run(halted: AbortSignal): Promise<void> {
    while (!halted.aborted) {
      let moved: Moved;
      try {
        moved = await move();
      } catch {
        await nap(times.retryMs, halted);
        continue;
      }
      const isOpen = moved.offset < moved.size;
      if (isOpen && moved.hasMoved) continue;
      const quietInMs = Math.max(1, grewAtMs + times.quietMs - performance.now());
      await waker.wait(isOpen && lastRest === 'keep' ? quietInMs : times.idleMs);
      await nap(times.gatherMs, halted);
    }
  }

  async function haltLoop(): Promise<void> {
    halt.abort();
    waker.wake();
    await loop;
  }

  async function finish(): Promise<void> {
    await haltLoop();
    if (closing) return closing;
    halt = new AbortController();
    restWhenQuiet = 'all';
    const untilMs = performance.now() + times.finishMs;
    while (!(await isDrained(untilMs))) await nap(Math.min(times.retryMs, times.finishMs / 10), halt.signal);
    await close();
  }

  /** Answers false when the log could not be written and there is time to try again. */
  async function isDrained(untilMs: number): Promise<boolean> {
    try {
      const goal = (await move()).size;
      for (let at = await move(); at.offset < Math.min(goal, at.size);) at = await move();
      return true;
    } catch (error) {
      if (isPaused) throw error;
      if (performance.now() < untilMs) return false;
      loop = run(halt.signal);
      throw error;
    }
  }

  async function close(): Promise<void> {
    closing ??= oneAtATime(async () => transfer.close());
    await closing;
    waker[Symbol.dispose]();
  }

  return {
    between: async (work) =>
      oneAtATime(async () => {
        if (closing) throw new Error('the console is not followed any more');
        await work(transfer);
      }),
    finish: async () => {
      finishing ??= finish().catch((error: unknown) => {
        finishing = undefined;
        throw error;
      });
      return finishing;
    },
    pause: async () => {
      isPaused = true;
      await haltLoop();
      await finishing?.catch(() => undefined); // its caller hears of it
      await close();
    },
  };
}
