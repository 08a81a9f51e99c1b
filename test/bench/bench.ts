import { eventLoop } from './event-loop.ts';
import type { Figure } from './figure.ts';
import { leaks } from './leaks.ts';
import { netTcp } from './net-tcp.ts';
import { overlay } from './overlay.ts';
import { pulls } from './pulls/pulls.ts';
import { pullFlaky, pullStorm } from './pulls/trouble.ts';
import { sandbox, sandboxTen } from './sandbox.ts';
import { scale } from './scale.ts';
import { startOverhead } from './start-overhead.ts';

/** Benchmarks by name, in the order in which they run. Each answers its figures and leaves the machine as it found it. */
const benchmarks: ReadonlyMap<string, (signal: AbortSignal) => Promise<readonly Figure[]>> = new Map([
  ['start-overhead', startOverhead],
  ['sandbox', sandbox],
  ['sandbox-10', sandboxTen],
  ['overlay', overlay],
  ['pulls', pulls],
  ['pull-storm', pullStorm],
  ['pull-flaky', pullFlaky],
  ['net-tcp', netTcp],
  ['event-loop', eventLoop],
  ['scale', scale],
  ['leaks', leaks],
]);

const misused = 2;
const interrupted = 130;

process.exitCode = await main(process.argv.slice(2));

/** Runs all benchmarks, or those named; a missed bar is no failure. */
async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !benchmarks.has(name));
  if (unknown.length > 0) {
    process.stderr.write(`bench: no benchmark ${unknown.join(', ')}; there are: ${[...benchmarks.keys()].join(', ')}\n`);
    return misused;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  for (const [name, run] of benchmarks) {
    if (names.length > 0 && !names.includes(name)) continue;
    try {
      for (const figure of await run(stop.signal)) process.stdout.write(`${JSON.stringify(figure)}\n`);
    } catch (error) {
      if (stop.signal.aborted) return interrupted;
      throw error;
    }
  }
  return 0;
}
