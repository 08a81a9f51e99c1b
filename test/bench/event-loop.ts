import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { bootImage, bootImages, vmPod } from '../e2e/guests.ts';
import { removeAllPods, runPod } from '../kubelet/kubelet.ts';
import { scrape } from '../node/metrics.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { residentBytes } from '../scale/node.ts';
import { absoluteFigure, type Figure } from './figure.ts';
import { builtDaemon, pullImage } from './vm-starts.ts';

const vms = 20;
const settleMs = 10_000;
/** What the daemon may be late beyond a process that does nothing, milliseconds. */
const allowanceMs = 20;

/**
 * How late the daemon's event loop is while 20 VMs are made at once, against a process beside it that does nothing; and the daemon's memory
 * before that, at rest.
 */
export async function eventLoop(signal: AbortSignal): Promise<readonly Figure[]> {
  using boot = bootImages('halt');
  await using node = await startNode({ images: boot.images, signal, ...builtDaemon() });
  await pullImage(node, bootImage('halt'), signal);
  await delay(settleMs, undefined, { signal });
  const idle = residentBytes(node.daemonPid()) / 2 ** 20;
  await maxDelayMs(node); // a scrape begins a new measurement
  const control = startControl();
  try {
    await Promise.all(
      Array.from({ length: vms }, async (_, index) =>
        runPod(node.kubelet, vmPod({ name: `vm-${index}`, image: bootImage('halt') }), { signal }),
      ),
    );
    const daemon = await maxDelayMs(node);
    const beside = await endControl(control);
    await removeAllPods(node.kubelet);
    const load = loadavg()[0] ?? 0;
    return [
      absoluteFigure({ bench: 'event-loop', metric: 'memory-idle', unit: 'MiB', bar: 120, load }, [idle]),
      absoluteFigure({ bench: 'event-loop', metric: 'longest delay while 20 VMs are made', unit: 'ms', bar: beside + allowanceMs, load }, [
        daemon,
      ]),
      absoluteFigure({ bench: 'event-loop', metric: 'longest delay of an idle process beside it', unit: 'ms', load }, [beside]),
    ];
  } finally {
    control.kill('SIGKILL');
  }
}

async function maxDelayMs(node: TestNode): Promise<number> {
  const series = (await scrape(node))('vmlet_event_loop_delay_seconds');
  return Math.max(0, ...Object.values(series)) * 1_000;
}

const controlScript = `
const { monitorEventLoopDelay } = require('node:perf_hooks');
const delay = monitorEventLoopDelay({ resolution: 20 });
delay.enable();
process.stdin.once('data', () => { process.stdout.write(String(delay.max / 1e6)); process.exit(); });
`;

function startControl(): ChildProcess {
  return spawn(process.execPath, ['-e', controlScript], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function endControl(control: ChildProcess): Promise<number> {
  let text = '';
  control.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()));
  control.stdin?.write('\n');
  await once(control, 'close');
  return Number(text);
}
