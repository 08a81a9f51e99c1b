import type { PullProblem } from '../failures.ts';

/**
 * Why nothing of what is here can be used: what an earlier run left is of other bytes; the blob changed meanwhile; a cut, where nothing could tell
 * whether the rest belongs to what we have.
 */
export type StartOverReason = 'stale' | 'changed' | 'cut';

/** Ends a run that is to begin from nothing; does not leave the room. `problem` is what a caller gets when that has been tried enough. */
export class StartOver extends Error {
  override readonly name = 'StartOver';
  readonly why: StartOverReason;
  readonly problem: PullProblem;

  constructor(why: StartOverReason, problem: PullProblem) {
    super(problem.message, { cause: problem });
    this.why = why;
    this.problem = problem;
  }
}
