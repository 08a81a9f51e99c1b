import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../lib/errno.ts';
import { makeKeyedMutex } from '../lib/keyed-mutex.ts';
import type { Log } from '../lib/log.ts';
import { openPartial, sweepPartials, type PartialFile } from './transfer/partial.ts';

/**
 * Unfinished downloads in the ingest directory. INVARIANTS: one pull at a time has a key; what no pull has, and nobody has written to for a day,
 * goes; a file that a pull has never does.
 */
export interface PartialFiles extends Disposable {
  /** Waits until no other pull has this key. Disposing closes the file and gives the key back. */
  readonly open: (key: string, signal: AbortSignal) => Promise<PartialFile>;
}

/** A kubelet tries again within minutes; a node that is repaired comes back within a day. */
const keptMs = 24 * 3_600_000;
const sweepEveryMs = 3_600_000;

/** Removes disks that a crash left half unpacked and partial files that are too old, and looks again every hour. To be called before anything is pulled. */
export async function makePartialFiles(dir: string, log: Log): Promise<PartialFiles> {
  const locks = makeKeyedMutex();
  const claims = new Map<string, number>();
  await sweepUnpacked(dir, log);
  await sweep();
  const timer = setInterval(() => void sweep(), sweepEveryMs);
  timer.unref();

  async function sweep(): Promise<void> {
    try {
      const swept = await sweepPartials(dir, { inUse: (key) => claims.has(key), olderThanMs: keptMs, now: Date.now() });
      if (swept.length > 0) log.info({ downloads: swept.length }, 'old unfinished downloads removed');
    } catch (error) {
      log.warn({ problem: messageOf(error) }, 'unfinished downloads not looked at');
    }
  }

  function claim(key: string): Disposable {
    claims.set(key, (claims.get(key) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (claims.get(key) ?? 1) - 1;
        if (left > 0) claims.set(key, left);
        else claims.delete(key);
      },
    };
  }

  return {
    open: async (key, signal) => {
      await using undo = new AsyncDisposableStack();
      undo.use(claim(key));
      undo.use(await locks.lock(key, signal));
      const partial = undo.use(await openPartial(dir, key));
      const ends = undo.move();
      return { ...partial, [Symbol.asyncDispose]: async () => ends.disposeAsync() };
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** What was unpacked or converted is made anew from the partial file, whose bytes are still there. */
async function sweepUnpacked(dir: string, log: Log): Promise<void> {
  for (const name of await readdir(dir)) {
    if (/^[0-9a-f]+\.(?:part|json)(?:\.|$)/.test(name)) continue;
    await rm(join(dir, name), { recursive: true, force: true });
    log.info({ file: name }, 'unfinished disk removed');
  }
}
