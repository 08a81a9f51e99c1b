import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, messageOf } from '../../lib/errno.ts';
import type { Log } from '../../lib/log.ts';

/** Space that a directory takes, in bytes on disk (allocated blocks, not lengths) and inodes. */
export interface SpaceTaken {
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

/** A number that is kept current in the background. */
export interface UsageSampler extends Disposable {
  readonly latest: () => SpaceTaken;
  /** Looks now; for after a change. */
  readonly refresh: () => Promise<void>;
}

/** Measures a directory with all below it. What disappears meanwhile is not counted. */
export async function measureSpace(dir: string): Promise<SpaceTaken> {
  let [usedBytes, inodesUsed] = [0, 0];
  for (const path of [dir, ...(await readdir(dir, { recursive: true })).map((name) => join(dir, name))]) {
    try {
      usedBytes += (await lstat(path)).blocks * blockBytes;
      inodesUsed += 1;
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return { usedBytes, inodesUsed };
}

/** Measures once, then every `periodMs` until disposed. A failed measurement keeps the last numbers and is logged. */
export async function makeUsageSampler(dir: string, periodMs: number, log: Log): Promise<UsageSampler> {
  let latest = await measureSpace(dir);
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    try {
      latest = await measureSpace(dir);
    } catch (error) {
      log.warn({ dir, problem: messageOf(error) }, 'space of images not measured');
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
