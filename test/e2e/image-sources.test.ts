import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { makeBootDisk } from '../../images/bootsector/sectors.ts';
import { blobAnswer, type ServedBlob } from '../lib/blob-answer.ts';
import { startDiskServer } from '../lib/disk-server.ts';
import { pushArtifact, pushContainerDisk, type PushTarget } from '../lib/push-image.ts';
import { startRegistry } from '../lib/registry.ts';
import { registryUser, type TestRegistry } from '../lib/registry-process.ts';
import { tempDir } from '../lib/temp.ts';
import { waitFor } from '../lib/wait.ts';
import { removeAllPods, runPod } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const bootMs = 60_000;
const pullMs = 120_000;

describe('a pod boots from an image', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode();
  });
  afterEach(async () => {
    await removeAllPods(node.kubelet);
    await requireClean(node);
    const { image } = node.kubelet.client;
    for (const { id } of (await image.listImages({})).images) await image.removeImage({ image: { image: id } });
    requireEmpty(node);
  });
  afterAll(async () => node.stop());

  /** Runs a pod from the image until its guest has said its name, then removes it. */
  async function expectBoot(image: string): Promise<void> {
    const running = await runPod(node.kubelet, vmPod({ image }));
    await untilLogged(running.containers[0]?.logPath ?? '', /vmlet-boot: halt/, bootMs);
    await removeAllPods(node.kubelet);
  }

  const pull = async (image: string, auth = {}): Promise<string> => {
    const { imageRef } = await node.kubelet.client.image.pullImage({ image: { image }, auth }, { timeoutMs: pullMs });
    return imageRef;
  };

  it('in a containerDisk from a registry with TLS and Basic, by tag and by digest', async () => {
    const target = await registryFor(node, { tls: true, auth: 'basic' });
    const { manifest } = await pushContainerDisk(target, { tag: '1', disk: bootDisk(), compression: 'gzip' });
    const name = `${target.registry.host}/team/vm`;
    expect(await failureOf(pull(`${name}:1`))).toMatchObject({
      code: 'UNKNOWN',
      message: expect.stringMatching(/authentication|imagePullSecret/),
    });
    const auth = { auth: Buffer.from(`${registryUser.username}:${registryUser.password}`).toString('base64') };
    const id = await pull(`${name}:1`, auth);
    await expectBoot(`${name}:1`);
    expect(await pull(`${name}@${manifest.digest}`, registryUser)).toBe(id);
    await expectBoot(`${name}@${manifest.digest}`);
    const { image } = await node.kubelet.client.image.imageStatus({ image: { image: id } });
    expect(image).toMatchObject({ id, repoTags: [`${name}:1`], repoDigests: [`${name}@${manifest.digest}`], uid: { value: 107n } });
  });

  it('in an artifact, as `oras push` makes it', async () => {
    const target = await registryFor(node, {});
    await pushArtifact(target, {
      tag: 'v2',
      files: [{ content: bootDisk(), mediaType: 'application/vnd.example.disk.qcow2', title: 'disk.qcow2' }],
    });
    await pull(`${target.registry.host}/team/vm:v2`);
    await expectBoot(`${target.registry.host}/team/vm:v2`);
  });

  it('at a name that a mapping file leads to a web server, by an expression, read on SIGHUP, compressed', async () => {
    const server = await startDiskServer();
    const disk = bootDisk();
    server.answer('/halt/3.qcow2.gz', gzipSync(disk));
    mkdirSync(node.mappingDir, { recursive: true });
    const sources = [{ match: 'mapped.example/([^:]+):(.+)', url: `${server.url}/$1/$2.qcow2.gz` }];
    writeFileSync(join(node.mappingDir, '10-web.yaml'), stringify({ sources }));
    process.kill(node.daemonPid(), 'SIGHUP');
    await waitFor(() => /image mappings read again/.test(node.logTail(200)) && 'read', { timeoutMs: 10_000, what: 'the mapping' });
    await pull('mapped.example/halt:3');
    await expectBoot('mapped.example/halt:3');
    const digest = `sha256:${sha256(disk)}`;
    const { image } = await node.kubelet.client.image.imageStatus({ image: { image: `mapped.example/halt@${digest}` } });
    expect(image?.repoTags).toEqual(['mapped.example/halt:3']);
  });

  it('once, whatever names and registries lead to it, and removes it by any of them', async () => {
    const [one, other] = [await registryFor(node, {}), await registryFor(node, {})];
    const disk = bootDisk();
    await pushContainerDisk(one, { tag: 'a', disk });
    await pushContainerDisk(one, { tag: 'b', disk });
    await pushContainerDisk(other, { tag: 'c', disk });
    const names = [`${one.registry.host}/team/vm:a`, `${one.registry.host}/team/vm:b`, `${other.registry.host}/team/vm:c`];
    const ids = await Promise.all(names.map(async (name) => pull(name)));
    expect(new Set(ids).size).toBe(1);
    const { image } = node.kubelet.client;
    const { images } = await image.listImages({});
    expect(images.map(({ repoTags }) => repoTags)).toEqual([names.toSorted()]);
    expect(images[0]?.repoDigests).toHaveLength(2);
    await expectBoot(names[2] ?? '');
    await Promise.all(names.map(async (name) => image.removeImage({ image: { image: name } })));
    expect((await image.listImages({})).images).toEqual([]);
  });
});

describe('a pull that ends with the daemon', () => {
  it.each(['killed', 'stopped'] as const)('%s: the next one brings only what is missing', async (how) => {
    const server = await startDiskServer();
    const disk = bigDisk();
    const hold = { afterBytes: 160 * 2 ** 20 };
    const blob: ServedBlob = {
      bytes: disk,
      etag: '"one"',
      // From here on no answer comes, as on a link that is dead: what is before it has arrived.
      before: (_request, _response, range) => (range?.[0] ?? 0) >= hold.afterBytes,
    };
    const { answer, count } = blobAnswer(blob);
    server.answer('/disk.qcow2', answer);
    const image = 'mapped.example/big:1';
    const node = await startNode({ sources: () => [{ name: image, url: `${server.url}/disk.qcow2` }] });
    try {
      const { image: service } = node.kubelet.client;
      const cut = failureOf(service.pullImage({ image: { image } }, { timeoutMs: pullMs }));
      await waitFor(() => journalled(node) >= hold.afterBytes, { timeoutMs: 60_000, what: 'a journal of what has arrived' });
      if (how === 'killed') await node.killDaemon();
      else await node.stopDaemon();
      await cut;
      hold.afterBytes = Infinity;
      const before = count.bodyBytes;
      await node.startDaemon();
      const { imageRef } = await service.pullImage({ image: { image } }, { timeoutMs: pullMs });
      expect(count.bodyBytes - before).toBeLessThanOrEqual(disk.length - 160 * 2 ** 20 + 1);
      const digest = `sha256:${sha256(disk)}`;
      expect(await service.imageStatus({ image: { image: `mapped.example/big@${digest}` } })).toMatchObject({ image: { id: imageRef } });
      expect(readdirSync(join(node.stateDir, 'images', 'ingest'))).toEqual([]);
    } finally {
      await node.stop();
    }
  });
});

async function registryFor(
  node: TestNode,
  options: Parameters<typeof startRegistry>[0],
): Promise<PushTarget & { readonly registry: TestRegistry }> {
  const registry = await startRegistry(options);
  const dir = join(node.registryHostsDir, registry.host);
  mkdirSync(dir, { recursive: true });
  if (registry.ca !== undefined) writeFileSync(join(dir, 'ca.crt'), registry.ca);
  else writeFileSync(join(dir, 'hosts.toml'), `server = "${registry.url}"\n`);
  return { registry, repository: 'team/vm' };
}

/** A boot sector that says its name and halts, as qcow2. */
function bootDisk(): Buffer {
  const dir = tempDir();
  writeFileSync(join(dir, 'raw'), makeBootDisk('halt'));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(dir, 'raw'), join(dir, 'qcow2')]);
  return readFileSync(join(dir, 'qcow2'));
}

/** A disk of seven segments. */
function bigDisk(): Buffer {
  const dir = tempDir();
  writeFileSync(join(dir, 'raw'), randomBytes(200 * 2 ** 20));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(dir, 'raw'), join(dir, 'qcow2')]);
  return readFileSync(join(dir, 'qcow2'));
}

/** Bytes of unfinished downloads that journals claim. */
function journalled(node: TestNode): number {
  const dir = join(node.stateDir, 'images', 'ingest');
  const journals = readdirSync(dir).filter((name) => name.endsWith('.json'));
  const pairs = journals.flatMap((name) => (JSON.parse(readFileSync(join(dir, name), 'utf8')) as { durable: [number, number][] }).durable);
  return pairs.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** Throws with what a store without images still has. */
function requireEmpty(node: TestNode): void {
  const dir = join(node.stateDir, 'images');
  const left = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(dir, name)).isFile());
  if (left.length > 0) throw new Error(`left in the store: ${left.join(', ')}`);
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
