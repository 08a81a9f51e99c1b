// Shows vmlet's main job on this machine: a pod whose container is a virtual machine, started through the CRI as a kubelet would.
import { parseDemoArguments, usage, type DemoRequest } from './demo/arguments.ts';
import { stopKept } from './demo/keep.ts';
import { runDemo } from './demo/run.ts';
import { makeScreen } from './demo/screen.ts';

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const;

process.exitCode = await main();

async function main(): Promise<number> {
  const screen = makeScreen(process.stdout);
  let request: DemoRequest;
  try {
    request = parseDemoArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n${usage}`);
    return 2;
  }
  if (request.action === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write('demo: it makes VMs, network namespaces and cgroups: run it as root (sudo npm run demo)\n');
    return 1;
  }
  const { signal, ended } = untilSignal((name) => screen.line('signal', `${name}: cleaning up`));
  try {
    await (request.action === 'stop' ? stopKept(request.dir, screen) : runDemo(request.keep, screen, signal));
    return 0;
  } catch (error) {
    const name = ended();
    if (name !== undefined) return 128 + signalNumbers[name];
    screen.failure(`demo failed: ${messageOf(error)}`);
    return 1;
  }
}

/** Aborts at the first SIGINT or SIGTERM; later ones are ignored, so that the clean-up comes to its end. */
function untilSignal(tell: (name: string) => void): { signal: AbortSignal; ended: () => keyof typeof signalNumbers | undefined } {
  const controller = new AbortController();
  let received: keyof typeof signalNumbers | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (received !== undefined) return;
      received = name;
      tell(name);
      controller.abort(new Error(`ended by ${name}`));
    });
  }
  return { signal: controller.signal, ended: () => received };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && !error.message.includes(error.cause.message)
    ? `${error.message}\ncause: ${error.cause.message}`
    : error.message;
}
