import { readdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { bootImage, bootImages, vmPod } from '../e2e/guests.ts';
import { deletePod, runPod, type Pod } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { residentBytes } from '../scale/node.ts';
import { absoluteFigure, type Figure } from './figure.ts';
import { pullImage, timed } from './vm-starts.ts';

const inSequence = 200;
const inParallel = 20;
/** Lives after which the daemon's memory is taken as settled. */
const settled = 40;
const mebibyte = 2 ** 20;

/**
 * Pod lives with real QEMU and a guest of 512 bytes, 200 one after the other and 20 at once: what is left of them (namespaces, taps,
 * processes, files, rules, cgroups, file descriptors), and what they cost the daemon in memory.
 */
export async function leaks(signal: AbortSignal): Promise<readonly Figure[]> {
  using boot = bootImages('halt');
  await using node = await startNode({ images: boot.images, signal, config: { vm: { shutdownRepeat: '200ms' } } });
  await pullImage(node, bootImage('halt'), signal);
  await live(node, pod(0), signal);
  const load = (): number => loadavg()[0] ?? 0;
  const fds = openFiles(node);
  const lives: number[] = [];
  let memory = 0;
  for (let index = 0; index < inSequence; index += 1) {
    lives.push(await timed(async () => live(node, pod(index), signal)));
    if (index === settled) memory = residentBytes(node.daemonPid());
  }
  const growth = (residentBytes(node.daemonPid()) - memory) / mebibyte;
  await Promise.all(Array.from({ length: inParallel }, async (_, index) => live(node, pod(index), signal)));
  const left = await node.leftovers();
  for (const line of left) process.stderr.write(`bench: left behind: ${line}\n`);
  return [
    absoluteFigure({ bench: 'leaks', metric: 'left of 220 pod lives', unit: 'things', bar: 0, load: load() }, [left.length]),
    absoluteFigure({ bench: 'leaks', metric: 'file descriptors more', unit: 'files', bar: 0, load: load() }, [
      Math.max(0, openFiles(node) - fds),
    ]),
    absoluteFigure({ bench: 'leaks', metric: 'daemon memory over 160 pod lives', unit: 'MiB', bar: 16, load: load() }, [growth]),
    absoluteFigure({ bench: 'leaks', metric: 'a pod life', unit: 'ms', load: load() }, lives),
  ];
}

function pod(index: number): Pod {
  return vmPod({ name: `life-${index}`, image: bootImage('halt'), graceSeconds: 0 });
}

async function live(node: TestNode, one: Pod, signal: AbortSignal): Promise<void> {
  const running = await runPod(node.kubelet, one, { signal });
  await deletePod(node.kubelet, running, { graceSeconds: 0, signal });
}

function openFiles(node: TestNode): number {
  return readdirSync(`/proc/${node.daemonPid()}/fd`).length;
}
