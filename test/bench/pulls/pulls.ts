import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/lib/run-program.ts';
import { launchRegistry, type TestRegistry } from '../../lib/registry-process.ts';
import { startNode, type TestNode } from '../../node/node.ts';
import { nodeOptions } from '../../scale/node.ts';
import { absoluteFigure, ratioFigure, type Figure } from '../figure.ts';
import { timed } from '../vm-starts.ts';
import { makeBigDisk, type BigDisk } from './big-disk.ts';
import { watchPeak } from './memory.ts';
import { pushFile } from './push-file.ts';
import { startFileServer, type FileServer } from './file-server.ts';

const rounds = 5;
const mebibytes = 2_048;
const built = join(import.meta.dirname, '..', '..', '..', 'dist', 'main.js');

/** Everything that the pulls need, made once. */
interface Stage extends AsyncDisposable {
  readonly disk: BigDisk;
  readonly registry: TestRegistry;
  /** Digests of the blobs by tag. */
  readonly digests: Readonly<Record<'artifact' | 'gzip', string>>;
  readonly web: FileServer;
  readonly node: TestNode;
}

/**
 * Large disks over loopback, cold, digest and door included, against `curl -o f` with `sync -d f` of the same bytes from the same server; a gzip
 * layer against `curl | gzip -dc > f`; a containerDisk against `skopeo copy` to a directory; and the daemon's memory meanwhile.
 */
export async function pulls(signal: AbortSignal): Promise<readonly Figure[]> {
  await using stage = await setUp(signal);
  const { web, registry, digests } = stage;
  const blob = (digest: string): string => `${registry.url}/v2/bench/disk/blobs/${digest}`;
  const figures: Figure[] = [];
  const compare = async (name: string, image: string, byHand: string, bar = 1.2): Promise<void> => {
    figures.push(...(await race(stage, { name, image, byHand, bar }, signal)));
  };
  await compare('pull-http', 'bench.example/http:1', `curl -sf -o f ${web.url} && sync -d f`);
  await compare('pull-registry', `${registry.host}/bench/disk:artifact`, `curl -sf -o f ${blob(digests.artifact)} && sync -d f`);
  await compare('pull-registry-gzip', `${registry.host}/bench/disk:gzip`, `curl -sf ${blob(digests.gzip)} | gzip -dc > f && sync -d f`);
  if (existsSync('/usr/bin/skopeo')) {
    const from = `docker://${registry.host}/bench/disk:layer`;
    await compare('pull-skopeo', `${registry.host}/bench/disk:layer`, `skopeo copy -q --src-tls-verify=false ${from} dir:copy`, 1);
  }
  return figures;
}

async function setUp(signal: AbortSignal): Promise<Stage> {
  await using undo = new AsyncDisposableStack();
  const disk = undo.use(await makeBigDisk(mebibytes, signal));
  const registryDir = mkdtempSync(join(tmpdir(), 'vmlet-registry-'));
  undo.defer(() => rmSync(registryDir, { recursive: true, force: true }));
  const registry = await launchRegistry({ dir: registryDir });
  undo.defer(registry.stop);
  const web = undo.use(await startFileServer(disk.disk));
  const target = { registry, repository: 'bench/disk' };
  const digests = {
    artifact: await pushFile(target, { file: disk.disk, tag: 'artifact', kind: 'artifact' }),
    gzip: await pushFile(target, { file: disk.packed, tag: 'gzip', kind: 'gzip' }),
  };
  await pushFile(target, { file: disk.layer, tag: 'layer', kind: 'layer' });
  const node = undo.use(
    await startNode({
      sources: () => [{ name: 'bench.example/http:1', url: `${web.url}` }],
      signal,
      ...(existsSync(built) ? { daemon: { program: built, env: () => ({ NODE_OPTIONS: nodeOptions }) } } : {}),
    }),
  );
  const hostDir = join(node.registryHostsDir, registry.host);
  mkdirSync(hostDir, { recursive: true });
  writeFileSync(join(hostDir, 'hosts.toml'), `server = "${registry.url}"\n`);
  const ends = undo.move();
  return { disk, registry, digests, web, node, [Symbol.asyncDispose]: async () => ends.disposeAsync() };
}

interface Race {
  readonly name: string;
  readonly image: string;
  /** A shell script that does the same in an empty directory. */
  readonly byHand: string;
  readonly bar: number;
}

async function race({ disk, node }: Stage, { name, image, byHand, bar }: Race, signal: AbortSignal): Promise<Figure[]> {
  const { image: service } = node.kubelet.client;
  const dir = join(disk.dir, 'by-hand');
  const samples: { readonly pull: number[]; readonly hand: number[]; readonly peak: number[] } = { pull: [], hand: [], peak: [] };
  const sides = {
    pull: async () => {
      const peakOf = watchPeak(node.daemonPid());
      samples.pull.push(await timed(async () => service.pullImage({ image: { image } }, { signal, timeoutMs: 600_000 })));
      samples.peak.push(peakOf());
      await service.removeImage({ image: { image } });
    },
    hand: async () => {
      mkdirSync(dir);
      samples.hand.push(await timed(async () => shell(byHand, dir, signal)));
      rmSync(dir, { recursive: true });
    },
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? (['pull', 'hand'] as const) : (['hand', 'pull'] as const)) {
      await shell('sync', '/', signal); // each begins with a disk at rest
      await sides[side]();
    }
  }
  const load = loadavg()[0] ?? 0;
  return [
    ratioFigure({ bench: name, metric: `PullImage / ${byHand.split(' ')[0]} by hand`, bar, load }, samples.pull, samples.hand),
    absoluteFigure({ bench: name, metric: 'peak memory above rest', unit: 'MiB', bar: 64, load }, samples.peak),
  ];
}

async function shell(script: string, cwd: string, signal: AbortSignal): Promise<void> {
  await runProgram('sh', ['-ec', script], { signal, timeoutMs: 600_000, cwd });
}
