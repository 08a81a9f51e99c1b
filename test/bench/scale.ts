import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuTime } from '../lib/cpu-time.ts';
import type { CriClient } from '../lib/cri-client.ts';
import { makeTemplate, residentBytes, startScaleNode, type ScaleNode } from '../scale/node.ts';
import { hasContainerd, startContainerd } from './containerd.ts';
import { absoluteFigure, ratioFigure, type Figure } from './figure.ts';
import { timed } from './vm-starts.ts';

const mebibyte = 2 ** 20;
const warmUps = 50;
const rounds = 200;
/** As long as a kubelet's first look at everything takes. */
const settleMs = 5_000;

/**
 * A daemon that has adopted VMs of libvirtd's test driver, polled as a kubelet polls: time of the lists with 500 pods against 100, CPU time
 * until the socket answers, memory, and what 10,000 list calls do to it.
 */
export async function scale(signal: AbortSignal): Promise<readonly Figure[]> {
  using template = await makeTemplate(signal);
  await using few = await startScaleNode(template, 100, signal);
  await using many = await startScaleNode(template, 500, signal);
  const load = (): number => loadavg()[0] ?? 0;
  await delay(settleMs, undefined, { signal });
  const restMemory = residentBytes(many.pid);

  const lists = { few: [] as number[], many: [] as number[] };
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? (['few', 'many'] as const) : (['many', 'few'] as const)) {
      const ms = await timed(async () => poll((side === 'few' ? few : many).client));
      if (round >= 0) lists[side].push(ms);
    }
  }
  const containerd = hasContainerd() ? await againstContainerd(few, signal) : [];
  await pollOften(few.client); // until the heap has found its size
  const before = residentBytes(few.pid);
  const cpuBefore = cpuTime(few.pid).own;
  await pollOften(few.client);
  const cpuAfter = cpuTime(few.pid).own;
  const slope = (residentBytes(few.pid) - before) / mebibyte;
  return [
    ...containerd,
    ratioFigure({ bench: 'scale', metric: 'lists-500 / lists-100', bar: 6, load: load() }, lists.many, lists.few),
    absoluteFigure({ bench: 'scale', metric: 'recovery-500 CPU until the socket answers', unit: 'ms', bar: 2_000, load: load() }, [
      many.startCpuMs,
    ]),
    absoluteFigure({ bench: 'scale', metric: 'memory-500 at rest', unit: 'MiB', bar: 200, load: load() }, [restMemory / mebibyte]),
    absoluteFigure({ bench: 'scale', metric: 'memory-slope over 10,000 lists', unit: 'MiB', bar: 16, load: load() }, [slope]),
    absoluteFigure({ bench: 'scale', metric: 'CPU of a list with 100 pods', unit: 'ms', load: load() }, [(cpuAfter - cpuBefore) / 10_000]),
  ];
}

/** The same lists of as many pods from vmlet and from containerd; both clients take the bytes as they come. */
async function againstContainerd(vmlet: ScaleNode, signal: AbortSignal): Promise<readonly Figure[]> {
  await using containerd = await startContainerd(100, signal);
  const samples = { vmlet: [] as number[], containerd: [] as number[] };
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? (['vmlet', 'containerd'] as const) : (['containerd', 'vmlet'] as const)) {
      const ms = await timed(async () => pollRaw((side === 'vmlet' ? vmlet : containerd).client));
      if (round >= 0) samples[side].push(ms);
    }
  }
  const what = { bench: 'scale', metric: 'lists-100 / containerd', bar: 1, load: loadavg()[0] ?? 0 };
  return [ratioFigure(what, samples.vmlet, samples.containerd)];
}

async function pollRaw({ raw }: CriClient): Promise<void> {
  for (const method of ['ListPodSandbox', 'ListContainers']) await raw(`/runtime.v1.RuntimeService/${method}`, new Uint8Array());
}

/** 10,000 lists. */
async function pollOften(client: CriClient): Promise<void> {
  for (let call = 0; call < 5_000; call += 1) await poll(client);
}

async function poll({ runtime }: CriClient): Promise<void> {
  await runtime.listPodSandbox({});
  await runtime.listContainers({});
}
