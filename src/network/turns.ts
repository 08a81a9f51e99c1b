import { makeKeyedMutex } from '../lib/keyed-mutex.ts';
import { makeSharedLock } from '../lib/shared-lock.ts';

/** Runs `work` on a sandbox when it is its turn. Throws the signal's reason when that is aborted before. */
export type Turn = <T>(sandboxId: string, work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

/**
 * Who waits for whom in the room.
 * INVARIANTS: work on one sandbox runs one after the other, in the order asked; sandboxes do not wait for each other. GC runs beside neither
 * ADD nor DEL (CNI specification, section 3). Not re-entrant: no work may ask for another turn.
 */
export interface Turns {
  /** For work that calls no plugins. */
  readonly ofSandbox: Turn;
  /** For ADD and DEL that a call waits for. */
  readonly withPlugins: Turn;
  /** For DEL that nobody waits for: it lets GC that waits go first, but not for longer than a minute. */
  readonly withPluginsBehind: Turn;
  /** For GC: at the first moment at which no plugins are called. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Makes turns that nobody has taken. */
export function makeTurns(): Turns {
  const sandboxes = makeKeyedMutex();
  const plugins = makeSharedLock();

  async function ofSandbox<T>(sandboxId: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    using _lock = await sandboxes.lock(sandboxId, signal);
    return await work();
  }

  return {
    ofSandbox,
    withPlugins: async (sandboxId, work, signal) => ofSandbox(sandboxId, async () => plugins.share(work, signal), signal),
    // The other way round: with the sandbox's lock first, a call for it would wait behind what waits for GC.
    withPluginsBehind: async (sandboxId, work, signal) =>
      plugins.shareBehind(async () => ofSandbox(sandboxId, work, signal), 60_000, signal),
    alone: plugins.alone,
  };
}
