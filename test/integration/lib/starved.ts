import { setTimeout as delay } from 'node:timers/promises';
import { filterConfined } from '../../../src/images/door/confined-filter.ts';
import { runConfined } from '../../../src/images/door/confined.ts';
import { messageOf } from '../../../src/lib/errno.ts';
import { startHelper } from '../../../src/lib/helper-process.ts';
import { tryProgram } from '../../../src/lib/run-program.ts';
import { runPlugin } from '../../../src/network/cni/plugin-process.ts';
import { takeDescriptors } from '../../lib/descriptors.ts';

/**
 * A program for tests, run under a low limit of descriptors: starts another in each way that there is, with so many left as its argument
 * says. Prints what came of it, a line each.
 */
const signal = AbortSignal.timeout(20_000);
const user = { uid: 65_534, gid: 65_534 };
const plugin = { program: '/bin/true', env: {}, input: '{}', timeoutMs: 200, maxOutputBytes: 1_000 };
const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  runPlugin: async () => runPlugin(plugin, signal),
  tryProgram: async () => tryProgram('true', [], { signal, input: 'text' }),
  startHelper: async () => startHelper('true', [], { logFile: '/dev/null' }),
  runConfined: async () => runConfined(['true'], { user }, signal),
  filterConfined: async () => filterConfined(['true'], { user }, signal),
};

await tryProgram('true', [], { signal }); // what Node opens once
for (const [name, start] of Object.entries(ways)) {
  const outcome = await starved(start);
  process.stdout.write(`${name}: ${outcome}\n`);
}
await delay(plugin.timeoutMs + 1_000); // deadlines that were forgotten

async function starved(start: () => Promise<unknown>): Promise<string> {
  using _taken = takeDescriptors(Number(process.argv[2]));
  try {
    await start();
    return 'started';
  } catch (error) {
    return messageOf(error);
  }
}
