import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesIn, nothing, openImages } from '../../lib/image-store.ts';
import { digestOf, hostArchitecture, mediaTypes } from '../../lib/push-image.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { hostsDirOf } from '../../lib/registry-hosts.ts';
import { startDouble, type RegistryDouble } from '../../lib/registry-double.ts';
import { layerOf, tarOf } from '../../lib/tar.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

/** Lets a double answer containerDisks `vms/<name>:v1` of these layers. */
function serveLayers(double: RegistryDouble, name: string, layers: readonly Buffer[]): void {
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: hostArchitecture }));
  const describe = (mediaType: string, blob: Buffer) => ({ mediaType, digest: digestOf(blob), size: blob.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: describe(mediaTypes.config, config),
      layers: layers.map((layer) => describe(mediaTypes.tar, layer)),
    }),
  );
  double.answer(`/v2/vms/${name}/manifests/v1`, (_request, response) =>
    response.setHeader('content-type', mediaTypes.manifest).end(manifest),
  );
  for (const blob of [config, ...layers]) {
    double.answer(`/v2/vms/${name}/blobs/${digestOf(blob)}`, (_request, response) => response.end(blob));
  }
}

function hostsFor(...doubles: readonly RegistryDouble[]): string {
  return hostsDirOf(Object.fromEntries(doubles.map(({ host, url }) => [`${host.replace(':', '_')}_/hosts.toml`, `server = "${url}"\n`])));
}

describe('layers that are wanted twice', () => {
  test('an empty layer that stands twice in a manifest is brought once', async () => {
    const double = await startDouble();
    const [empty, disk] = [tarOf(), layerOf(newQcow2())];
    serveLayers(double, 'twice', [empty, disk, empty]);
    const images = await openImages({ registryHostsDir: hostsFor(double) });
    const image = await images.pull({ reference: `${double.host}/vms/twice:v1` }, AbortSignal.timeout(50_000));
    expect(image.repoTags).toEqual([`${double.host}/vms/twice:v1`]);
    expect(double.requests.filter(({ path }) => path.endsWith(digestOf(empty)))).toHaveLength(1);
  });

  test('a layer with a disk that stands twice makes two disks', async () => {
    const double = await startDouble();
    const disk = layerOf(newQcow2());
    serveLayers(double, 'twice', [disk, disk]);
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, registryHostsDir: hostsFor(double) });
    await expect(images.pull({ reference: `${double.host}/vms/twice:v1` }, AbortSignal.timeout(50_000))).rejects.toMatchObject({
      facts: { code: 'IMAGE_REFUSED', rule: 'two-disks' },
    });
    expect(filesIn(storeDir)).toEqual(nothing);
  });

  test('two images with the same layers in another order do not wait for each other', async () => {
    const double = await startDouble();
    const layers = [layerOf(newQcow2('16M')), layerOf(newQcow2('32M'))];
    serveLayers(double, 'one', layers);
    serveLayers(double, 'other', layers.toReversed());
    const images = await openImages({ registryHostsDir: hostsFor(double) });
    const pulls = ['one', 'other'].map(async (name) =>
      images.pull({ reference: `${double.host}/vms/${name}:v1` }, AbortSignal.timeout(50_000)),
    );
    for (const ended of await Promise.allSettled(pulls)) {
      expect(ended).toMatchObject({ status: 'rejected', reason: { facts: { code: 'IMAGE_REFUSED', rule: 'two-disks' } } });
    }
  });
});

describe('a download that others have joined', () => {
  test('and that fails on its way does not fail those who have another', async () => {
    const [liar, honest] = [await startDouble(), await startDouble()];
    const disk = layerOf(newQcow2());
    for (const double of [liar, honest]) serveLayers(double, 'one', [disk]);
    const gate = Promise.withResolvers<void>();
    const path = `/v2/vms/one/blobs/${digestOf(disk)}`;
    liar.answer(path, (_request, response) => void gate.promise.then(() => response.end(Buffer.alloc(disk.length, 1))));
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, registryHostsDir: hostsFor(liar, honest) });
    const signal = AbortSignal.timeout(50_000);
    const pulls = [images.pull({ reference: `${liar.host}/vms/one:v1` }, signal)];
    await waitFor(() => liar.requests.some((each) => each.path === path), { timeoutMs: 10_000, what: 'request of the blob' });
    pulls.push(
      images.pull({ reference: `${liar.host}/vms/one:v1` }, signal),
      images.pull({ reference: `${honest.host}/vms/one:v1` }, signal),
    );
    await waitFor(() => honest.requests.length >= 2, { timeoutMs: 10_000, what: 'the other manifest' });
    const ended = Promise.allSettled(pulls);
    gate.resolve();
    const [first, again, other] = await ended;
    for (const failed of [first, again]) expect(failed).toMatchObject({ status: 'rejected' });
    expect(liar.requests.filter((each) => each.path === path)).toHaveLength(1);
    expect(other).toMatchObject({ status: 'fulfilled', value: { repoTags: [`${honest.host}/vms/one:v1`] } });
  });
});

test('a layer that is unpacked is kept until its disk is judged, for a daemon that ends meanwhile', async () => {
  const double = await startDouble();
  const layer = layerOf(Buffer.concat([newQcow2(), Buffer.alloc(4 * 2 ** 20, 1)]));
  const half = 3 * 2 ** 20;
  serveLayers(double, 'one', [layer]);
  const gate = Promise.withResolvers<void>();
  double.answer(`/v2/vms/one/blobs/${digestOf(layer)}`, (_request, response) => {
    response.setHeader('content-length', layer.length).write(layer.subarray(0, half));
    void gate.promise.then(() => response.end(layer.subarray(half)));
  });
  const dir = tempDir();
  chmodSync(dir, 0o755);
  const program = join(dir, 'qemu-img');
  writeFileSync(program, '#!/bin/sh\n[ "$1" = --version ] && { echo qemu-img version 99.0; exit; }\nexec sleep 60\n', { mode: 0o755 });
  const options = { storeDir: join(tempDir(), 'images'), registryHostsDir: hostsFor(double) };
  const first = await openImages({ ...options, qemuImg: program });
  const pull = first.pull({ reference: `${double.host}/vms/one:v1` }, AbortSignal.timeout(50_000));
  const ended = Promise.allSettled([pull]);
  const ends = (): string[] => filesIn(options.storeDir).ingest.map((name) => name.replace(/^[^.]*/, ''));
  await waitFor(() => ends().includes('.json'), { timeoutMs: 15_000, what: 'journal' });
  gate.resolve();
  const modes = (): number[] =>
    filesIn(options.storeDir)
      .ingest.filter((name) => name.endsWith('.disk'))
      .map((name) => statSync(join(options.storeDir, 'ingest', name)).mode & 0o777);
  await waitFor(() => modes().includes(0o644), { timeoutMs: 10_000, what: 'inspection, for which the disk is made readable' });
  await first.close();
  expect((await ended)[0]?.status).toBe('rejected');
  expect(ends().toSorted()).toEqual(['.json', '.part']);
});
