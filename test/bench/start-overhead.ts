import { loadavg } from 'node:os';
import { domainNameOf } from '../../src/model/container.ts';
import { bootImage, bootImages, vmPod } from '../e2e/guests.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { makeByHand, virsh, type ByHand } from './by-hand.ts';
import { ratioFigure, type Figure } from './figure.ts';
import { createVm, makeFiles, pullImage, removeSandbox, runSandbox, timed } from './vm-starts.ts';

const pairs = 20;
const warmUps = 2;

/**
 * From RunPodSandbox to QEMU running with the image cached, against the same work by hand: namespace, the same CNI plugins, disk, seed,
 * tap, `virsh create` of the same XML, cgroup, bridge, dnsmasq, resume. The guest is a boot sector, so that it plays no part.
 */
export async function startOverhead(signal: AbortSignal): Promise<readonly Figure[]> {
  using boot = bootImages('halt');
  await using node = await startNode({ images: boot.images, signal });
  const imageId = await pullImage(node, bootImage('halt'), signal);
  const [image] = boot.images;
  const base = image && 'file' in image ? image.file : '';
  const byHand = await makeByHand(node, { xml: await sampleXml(node, imageId, signal), base, baseFormat: 'raw' });
  const vmlet: number[] = [];
  const hand: number[] = [];
  for (let round = -warmUps; round < pairs; round += 1) {
    const one = async (): Promise<number> => startByVmlet(node, imageId, signal);
    const other = async (): Promise<number> => startByHand(byHand, round + warmUps, signal);
    const [a, b] = round % 2 === 0 ? [await one(), await other()] : swapped(await other(), await one());
    if (round < 0) continue;
    vmlet.push(a);
    hand.push(b);
  }
  return [
    ratioFigure(
      { bench: 'start-overhead', metric: 'RunPodSandbox to QEMU running / by hand', bar: 1.25, load: loadavg()[0] ?? 0 },
      vmlet,
      hand,
    ),
  ];
}

async function startByVmlet(node: TestNode, imageId: string, signal: AbortSignal): Promise<number> {
  const pod = vmPod({ image: bootImage('halt') });
  await makeFiles(node, pod);
  let sandboxId = '';
  const ms = await timed(async () => {
    sandboxId = await runSandbox(node, pod, signal);
    const containerId = await createVm(node, pod, { sandboxId, imageId }, signal);
    await node.kubelet.client.runtime.startContainer({ containerId }, { signal });
  });
  await removeSandbox(node, sandboxId);
  return ms;
}

async function startByHand(byHand: ByHand, index: number, signal: AbortSignal): Promise<number> {
  await using vm = await byHand.start(index, signal);
  return vm.startMs;
}

/** The XML of a VM as vmlet defines it. */
async function sampleXml(node: TestNode, imageId: string, signal: AbortSignal): Promise<string> {
  const pod = vmPod({ image: bootImage('halt') });
  await makeFiles(node, pod);
  const sandboxId = await runSandbox(node, pod, signal);
  const containerId = await createVm(node, pod, { sandboxId, imageId }, signal);
  const xml = await virsh(node, signal, 'dumpxml', '--inactive', domainNameOf(containerId));
  await removeSandbox(node, sandboxId);
  return xml;
}

function swapped<A, B>(a: A, b: B): [B, A] {
  return [b, a];
}
