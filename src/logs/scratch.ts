import { entryBytes } from './entries.ts';
import { makeTurns } from './turns.ts';

/** Buffers of one move; their content is good until the move ends. */
export interface Scratch {
  /** Holds what is read at once; its length bounds memory and the time that one move holds the event loop. */
  readonly chunk: Buffer;
  /** Holds the entries of a chunk. */
  readonly entries: Buffer;
}

/** Runs moves, some at once, each with buffers of its own. */
export type Moves = <T>(work: (scratch: Scratch) => Promise<T>) => Promise<T>;

const chunkBytes = 2 ** 18;

/** Makes turns whose buffers are used again and again: a flood would else leave garbage faster than it is collected. */
export function makeMoves(limit: number): Moves {
  const turns = makeTurns(limit);
  const free: Scratch[] = [];
  return async (work) =>
    turns(async () => {
      const scratch = free.pop() ?? { chunk: Buffer.allocUnsafeSlow(chunkBytes), entries: Buffer.allocUnsafeSlow(entryBytes(chunkBytes)) };
      try {
        return await work(scratch);
      } finally {
        free.push(scratch);
      }
    });
}
