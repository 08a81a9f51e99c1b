import { subscribe } from 'node:diagnostics_channel';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { z } from 'zod';
import { silentLog } from '../../../src/lib/log.ts';
import { makeNetwork } from '../../../src/network/network.ts';
import type { Step } from './life.ts';

/**
 * A daemon for tests, run as a program: a pod's network is made, joined to a tap and released, as the use cases do it. At the nth step
 * it kills itself, or the step fails: a program is killed, a change of a file is refused. Prints its steps.
 */
const { options, request, tap, nth, how } = z
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
    how: z.enum(['killed before', 'killed during', 'failed']),
  })
  .parse(JSON.parse(process.argv[2] ?? ''));

const steps: Step[] = [];
const die = (): void => process.kill(process.pid, 'SIGKILL') && undefined;

/** Counts a step; true for the one that is to fail. */
function begin(step: Step): boolean {
  steps.push(step);
  if (steps.length !== nth) return false;
  if (how === 'killed before') die();
  return how === 'failed';
}

const network = await makeNetwork(options, { log: silentLog });

type Child = NodeJS.EventEmitter & { readonly pid: number; readonly spawnargs: readonly string[] };
const started = z.object({ process: z.custom<Child>() });
subscribe('child_process', (message) => {
  const { process: child } = started.parse(message);
  const step = { kind: 'program', name: '' } as const;
  const fails = begin(step);
  child.once('spawn', () => Object.assign(step, { name: child.spawnargs.slice(0, 3).join(' ') }));
  if (fails) child.once('spawn', () => process.kill(child.pid, 'SIGKILL'));
  else if (steps.length === nth) child.once('spawn', die);
});

type Change = (path: string, ...rest: readonly unknown[]) => Promise<unknown>;
const changes = ['mkdir', 'open', 'rename', 'rm', 'writeFile'] as const;
for (const name of changes) {
  const real = promises[name] as Change;
  const disturbed: Change = async (path, ...rest) => {
    const isRead = name === 'open' && rest[0] === 'r';
    if (!isRead && begin({ kind: 'file', name: `${name} ${basename(path)}` })) {
      throw Object.assign(new Error(`EIO: i/o error, ${name} '${path}'`), { code: 'EIO' });
    }
    return real(path, ...rest);
  };
  Object.assign(promises, { [name]: disturbed });
}
syncBuiltinESMExports();

const { sandboxId } = request;
const soon = (): AbortSignal => AbortSignal.timeout(60_000);
try {
  await network.attach(request, soon());
  await network.makeTap({ tap, interfaces: [{}], uid: 0, queues: 1 }, soon());
  await network.joinTap(sandboxId, tap, soon());
} catch (error) {
  if (how !== 'failed') throw error;
}

async function release(): Promise<void> {
  await network.removeTap(sandboxId, tap, soon());
  await network.detach(sandboxId, soon());
}

await release().catch(release); // as a kubelet, which asks again
network.close();
process.stdout.write(JSON.stringify(steps));
