import { subscribe } from 'node:diagnostics_channel';
import { z } from 'zod';
import { silentLog } from '../../../src/lib/log.ts';
import { makeNetwork } from '../../../src/network/network.ts';

/**
 * A daemon for tests, run as a program: a pod's network is made, joined to a tap and released, as the use cases do it. At the nth
 * program that it starts it kills itself, or that program. Prints how many programs it has started.
 */
const { options, request, tap, nth, point } = z
  .object({
    options: z.object({
      netnsDir: z.string(),
      stateDir: z.string(),
      runtimeDir: z.string(),
      cni: z.object({ confDir: z.string(), binDirs: z.array(z.string()), timeoutMs: z.int(), cacheDir: z.string(), retryMs: z.int() }),
    }),
    request: z.custom<Parameters<Awaited<ReturnType<typeof makeNetwork>>['attach']>[0]>(),
    tap: z.string(),
    nth: z.int().min(0),
    /** The daemon dies before the nth program is started, once it runs, or once it has ended; or the program is killed. */
    point: z.enum(['created', 'spawn', 'exit', 'fail']),
  })
  .parse(JSON.parse(process.argv[2] ?? ''));

type Child = NodeJS.EventEmitter & { readonly pid: number };
const started = z.object({ process: z.custom<Child>() });
let count = 0;
const network = await makeNetwork(options, { log: silentLog });
subscribe('child_process', (message) => {
  count += 1;
  if (count !== nth) return;
  const die = (): void => process.kill(process.pid, 'SIGKILL') && undefined;
  const { process: child } = started.parse(message);
  if (point === 'created') die();
  else if (point === 'fail') child.once('spawn', () => process.kill(child.pid, 'SIGKILL'));
  else child.once(point, die);
});

const { sandboxId } = request;
const soon = (): AbortSignal => AbortSignal.timeout(60_000);
try {
  await network.attach(request, soon());
  await network.makeTap({ tap, count: 1, uid: 0, queues: 1 }, soon());
  await network.joinTap(sandboxId, tap, soon());
} catch (error) {
  if (point !== 'fail') throw error;
}
// A step that fails here is asked for again, as a kubelet does.
await network.removeTap(sandboxId, tap, soon()).catch(() => undefined);
await network.detach(sandboxId, soon()).catch(() => undefined);
await network.removeTap(sandboxId, tap, soon());
await network.detach(sandboxId, soon());
network.close();
process.stdout.write(String(count));
