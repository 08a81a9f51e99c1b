import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, messageOf } from './errno.ts';
import type { Log } from './log.ts';

/** Space that a directory takes, in bytes on disk (allocated blocks, not lengths) and inodes. */
export interface SpaceTaken {
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

/** A number that is kept current in the background. */
export interface SpaceSampler extends Disposable {
  readonly latest: () => SpaceTaken;
  /** Looks now; for after a change. */
  readonly refresh: () => Promise<void>;
}

/** Measures a directory with all below it; one that does not exist takes nothing. What disappears meanwhile is not counted. */
export async function measureSpace(dir: string): Promise<SpaceTaken> {
  let [usedBytes, inodesUsed] = [0, 0];
  for (const path of [dir, ...(await namesBelow(dir)).map((name) => join(dir, name))]) {
    try {
      usedBytes += (await lstat(path)).blocks * blockBytes;
      inodesUsed += 1;
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return { usedBytes, inodesUsed };
}

async function namesBelow(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir, { recursive: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Measures once, then every `periodMs` until disposed. A failed measurement keeps the last numbers and is logged. */
export async function makeSpaceSampler(dir: string, periodMs: number, log: Log): Promise<SpaceSampler> {
  let latest = await measureSpace(dir);
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    try {
      latest = await measureSpace(dir);
    } catch (error) {
      log.warn({ dir, problem: messageOf(error) }, 'space not measured');
    } finally {
      looking = undefined;
    }
  }

  const timer = setInterval(() => void (looking ??= look()), periodMs);
  timer.unref();
  return {
    latest: () => latest,
    refresh: async () => {
      await looking; // it may have begun before the change
      await (looking ??= look());
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

const blockBytes = 512; // stat(2): st_blocks counts in 512 bytes, whatever the file system's block size
