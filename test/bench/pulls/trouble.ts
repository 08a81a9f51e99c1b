import { loadavg } from 'node:os';
import { vmPod } from '../../e2e/guests.ts';
import { removeAllPods, runPod } from '../../kubelet/kubelet.ts';
import { scrape } from '../../node/metrics.ts';
import { startNode, type TestNode } from '../../node/node.ts';
import { absoluteFigure, type Figure } from '../figure.ts';
import { makeBigDisk } from './big-disk.ts';
import { startFileServer } from './file-server.ts';

const mebibyte = 2 ** 20;
const pods = 10;

/** Ten pods that start at once from one image that the node does not have: how often it is downloaded, and how often inspected. */
export async function pullStorm(signal: AbortSignal): Promise<readonly Figure[]> {
  using disk = await makeBigDisk(64, signal);
  const name = 'bench.example/storm:1';
  await using node = await startNode({ images: [{ name, file: disk.disk }], signal });
  await Promise.all(
    Array.from({ length: pods }, async (_, index) => runPod(node.kubelet, vmPod({ name: `storm-${index}`, image: name }), { signal })),
  );
  const [received, inspected] = [await sumOf(node, 'vmlet_image_pull_bytes_total'), await sumOf(node, 'vmlet_image_inspections_total')];
  await removeAllPods(node.kubelet);
  const load = loadavg()[0] ?? 0;
  return [
    absoluteFigure({ bench: 'pull-storm', metric: 'downloads for ten pods', unit: 'downloads', bar: 1, load }, [received / disk.sizeBytes]),
    absoluteFigure({ bench: 'pull-storm', metric: 'inspections for ten pods', unit: 'inspections', bar: 1, load }, [inspected]),
  ];
}

/** A link that is cut every 50 MB: what is downloaded twice. */
export async function pullFlaky(signal: AbortSignal): Promise<readonly Figure[]> {
  using disk = await makeBigDisk(1_024, signal);
  await using server = await startFileServer(disk.disk, 50 * 10 ** 6);
  const name = 'bench.example/flaky:1';
  await using node = await startNode({ sources: () => [{ name, url: server.url }], signal });
  await node.kubelet.client.image.pullImage({ image: { image: name } }, { signal, timeoutMs: 600_000 });
  const load = loadavg()[0] ?? 0;
  const twice = (server.sentBytes() - disk.sizeBytes) / mebibyte;
  return [
    absoluteFigure({ bench: 'pull-flaky', metric: 'sent twice, each cut', unit: 'MiB', bar: 1, load }, [
      twice / Math.max(1, server.cuts()),
    ]),
    absoluteFigure({ bench: 'pull-flaky', metric: 'cuts', unit: 'cuts', load }, [server.cuts()]),
  ];
}

async function sumOf(node: TestNode, name: string): Promise<number> {
  return Object.values((await scrape(node))(name)).reduce((sum, value) => sum + value, 0);
}
