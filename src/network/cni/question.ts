import { runPlugin } from './plugin-process.ts';
import type { StuckProcess } from './failure.ts';

/**
 * Makes a way to run plugins that are asked again and again: a program is not started anew while one that could not be ended is still there,
 * or a node on whose dead disk plugins hang would gather processes without end. Throws then too, with its process.
 */
export function makeQuestions(): typeof runPlugin {
  const stuck = new Map<string, StuckProcess>();
  return async (options, signal) => {
    const before = stuck.get(options.program);
    if (before && !before.isGone()) throw new Error(`SIGKILL has not ended process ${before.pid}, which was asked before`);
    stuck.delete(options.program);
    const run = await runPlugin(options, signal);
    if (run.stuck) stuck.set(options.program, run.stuck);
    return run;
  };
}
