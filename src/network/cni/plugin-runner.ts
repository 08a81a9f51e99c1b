import type { StuckPlugin } from './failure.ts';
import { runPlugin } from './plugin-process.ts';
import { programIdentity } from './plugin-search.ts';

/**
 * Makes a way to run plugins, as `runPlugin`, in which no call is made anew while nothing can end the same call of before: calls are repeated
 * for ever (STATUS, VERSION, a DEL that fails), and a node on whose dead disk plugins hang would gather processes. The same are program file,
 * environment and input, so that another plugin or list in its place is called. Throws then, and the signal's reason when it was aborted.
 */
export function makePluginRunner(): typeof runPlugin {
  const stuck = new Map<string, StuckPlugin>();
  return async (options, signal) => {
    const call = JSON.stringify([await programIdentity(options.program), options.env, options.input]);
    const before = stuck.get(call);
    if (before && !(await before.isGone())) throw new Error(`SIGKILL has not ended process group ${before.pgid} of the same call`);
    stuck.delete(call);
    const run = await runPlugin(options, signal);
    if (run.stuck) {
      for (const [other, { isGone }] of stuck) if (await isGone()) stuck.delete(other);
      stuck.set(call, run.stuck);
    }
    signal.throwIfAborted();
    return run;
  };
}
