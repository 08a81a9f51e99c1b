import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { silentLog } from '../../../src/lib/log.ts';
import { makeNetwork } from '../../../src/network/network.ts';

/**
 * A daemon for tests, run as a program: it joins a tap, releases a network, or collects what belongs to no sandbox, and kills itself at a
 * given point of that, counted over the programs it starts. Prints `joined`, `detached` or `collected` when the point was never reached.
 */
const { options, sandboxId, tap, act, nth, point } = z
  .object({
    options: z.object({
      netnsDir: z.string(),
      stateDir: z.string(),
      runtimeDir: z.string(),
      cni: z.object({ confDir: z.string(), binDirs: z.array(z.string()), timeoutMs: z.int(), cacheDir: z.string() }),
      sriov: z
        .object({ sysfsDir: z.string(), vfioDir: z.string(), waitMs: z.int() })
        .default({ sysfsDir: '/sys', vfioDir: '/dev/vfio', waitMs: 1_000 }),
    }),
    sandboxId: z.string(),
    act: z.enum(['join', 'detach', 'collect']).default('join'),
    tap: z.string().default(''),
    nth: z.int().min(1),
    /** Before the nth program is started, once it runs, or once it has ended. */
    point: z.enum(['created', 'spawn', 'exit']),
  })
  .parse(JSON.parse(process.argv[2] ?? ''));

const die = (): void => process.kill(process.pid, 'SIGKILL') && undefined;
const started = z.object({ process: z.custom<NodeJS.EventEmitter>() });
let count = 0;
const network = await makeNetwork(options, { log: silentLog });
subscribe('child_process', (message) => {
  count += 1;
  if (count !== nth) return;
  if (point === 'created') die();
  else started.parse(message).process.once(point, die);
});
const soon = AbortSignal.timeout(30_000);
const acts = {
  join: async () => network.joinTap(sandboxId, tap, soon),
  detach: async () => network.detach(sandboxId, soon),
  collect: async () => network.recover(new Map(), soon).then(async () => delay(20_000)),
};
await acts[act]();
network.close();
process.stdout.write(`${act}ed`);
