import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/lib/run-program.ts';
import { vmPod } from '../e2e/guests.ts';
import type { Pod } from '../kubelet/kubelet.ts';
import { startNode, type NodeImage, type TestNode } from '../node/node.ts';
import { ratioFigure, type Figure } from './figure.ts';
import { createVm, makeFiles, pullImage, removeSandbox, runSandbox, timed } from './vm-starts.ts';

const pairs = 30;
const warmUps = 3;

/**
 * CreateContainer with a base of 10 GB against one of 100 MB: nothing is copied, so they take the same time. The small disk's bytes are all
 * there; of the large one's a tenth are (1 GiB), which is what a copy would have to move.
 */
export async function overlay(signal: AbortSignal): Promise<readonly Figure[]> {
  using disks = await makeDisks(signal);
  await using node = await startNode({ images: disks.images, signal });
  const sides = await Promise.all(disks.images.map(async ({ name }) => prepare(node, name, signal)));
  const [small, large] = sides;
  if (!small || !large) throw new Error('two disks were expected');
  for (let round = -warmUps; round < pairs; round += 1) {
    for (const side of round % 2 === 0 ? [small, large] : [large, small]) {
      const ms = await createOnce(node, side, signal);
      if (round >= 0) side.samples.push(ms);
    }
  }
  for (const { sandboxId } of sides) await removeSandbox(node, sandboxId);
  return [
    ratioFigure(
      { bench: 'overlay', metric: 'CreateContainer on 10 GB / on 100 MB', bar: 1.2, load: loadavg()[0] ?? 0 },
      large.samples,
      small.samples,
    ),
  ];
}

interface Side {
  readonly pod: Pod;
  readonly sandboxId: string;
  readonly imageId: string;
  readonly samples: number[];
  attempt: number;
}

async function prepare(node: TestNode, image: string, signal: AbortSignal): Promise<Side> {
  const pod = vmPod({ image });
  await makeFiles(node, pod);
  const imageId = await pullImage(node, image, signal);
  return { pod, sandboxId: await runSandbox(node, pod, signal), imageId, samples: [], attempt: 0 };
}

async function createOnce(node: TestNode, side: Side, signal: AbortSignal): Promise<number> {
  let containerId = '';
  const ms = await timed(async () => {
    containerId = await createVm(node, side.pod, side, signal);
  });
  side.attempt += 1;
  await node.kubelet.client.runtime.removeContainer({ containerId });
  return ms;
}

interface Disks extends Disposable {
  readonly images: readonly NodeImage[];
}

async function makeDisks(signal: AbortSignal): Promise<Disks> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-bench-'));
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  try {
    chmodSync(dir, 0o711);
    const images: NodeImage[] = [];
    for (const [name, size, filled] of [
      ['small', '100M', '100M'],
      ['large', '10G', '1G'],
    ] as const) {
      const file = join(dir, `${name}.qcow2`);
      await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', file, size], { signal });
      await runProgram('qemu-io', ['-f', 'qcow2', '-c', `write -q -P 0x5a 0 ${filled}`, file], { signal, timeoutMs: 300_000 });
      images.push({ name: `bench.example/${name}:1`, file });
    }
    return { images, [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}
