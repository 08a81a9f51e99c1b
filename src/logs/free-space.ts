import { messageOf } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { runProgram } from '../lib/run-program.ts';
import type { Turns } from './turns.ts';

/** Gives consumed bytes of a file back to its file system. */
export interface SpaceSaver {
  /** Frees what lies before `offset`, in steps and when its turn comes; returns at once. */
  readonly freeBefore: (offset: number) => void;
  /** Resolves when no run is under way. */
  readonly settled: () => Promise<void>;
}

/** Bytes that are worth a run of the program. */
export const freeStepBytes = 2 ** 20;

const blockBytes = 4_096; // holes are whole blocks

/**
 * Frees by punching holes with util-linux' fallocate(1), which Node has no call for: truncating would lose what is appended meanwhile.
 * Where the file system has no holes it warns once and leaves the file to grow.
 */
export function makeSpaceSaver(file: string, deps: { readonly log: Log; readonly turns: Turns }): SpaceSaver {
  const { log, turns } = deps;
  let freed = 0;
  let running: Promise<void> | undefined;
  let isPossible = true;

  async function punch(to: number): Promise<void> {
    const range = ['--offset', String(freed), '--length', String(to - freed)];
    try {
      await runProgram('fallocate', ['--punch-hole', ...range, file], { signal: AbortSignal.timeout(60_000) });
      freed = to;
    } catch (error) {
      isPossible = false;
      log.warn({ file, problem: messageOf(error) }, 'cannot free what was read of a console file; it will grow');
    } finally {
      running = undefined;
    }
  }

  return {
    freeBefore: (offset) => {
      const to = offset - (offset % blockBytes);
      if (isPossible && running === undefined && to - freed >= freeStepBytes) running = turns(async () => punch(to));
    },
    settled: async () => running,
  };
}
