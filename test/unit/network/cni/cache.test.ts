import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeCniCache, type CachedAdd, type CniCache } from '../../../../src/network/cni/cache.ts';

const network = { name: 'pods', cniVersion: '1.0.0', plugins: [{ type: 'bridge', bridge: 'cni0' }] };
const id = 'ab'.repeat(32);
const entry: CachedAdd = {
  network,
  subject: {
    sandboxId: id,
    metadata: { name: 'web', namespace: 'shop', uid: 'u1', attempt: 0 },
    capabilities: { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '' }] },
  },
  netnsPath: '/run/netns/vmlet-ab',
  result: { cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/24' }] },
};

function makeCache(): { cache: CniCache; dir: string; results: string } {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-cache-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const others = [join(dir, 'other'), join(dir, 'absent')];
  return { cache: makeCniCache(join(dir, 'cni'), others), dir, results: join(dir, 'cni', 'results') };
}

it('is the file that libcni writes: name, mode and fields', async () => {
  const { cache, results } = makeCache();
  await cache.put(entry);
  const file = join(results, `pods-${id}-eth0`);
  expect(statSync(results).mode & 0o777).toBe(0o700);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { config, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as { config: string };
  expect(JSON.parse(Buffer.from(config, 'base64').toString())).toEqual(network);
  expect(rest).toEqual({
    kind: 'cniCacheV1',
    containerId: id,
    ifName: 'eth0',
    networkName: 'pods',
    netns: '/run/netns/vmlet-ab',
    cniArgs: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAMESPACE', 'shop'],
      ['K8S_POD_NAME', 'web'],
      ['K8S_POD_INFRA_CONTAINER_ID', id],
      ['K8S_POD_UID', 'u1'],
    ],
    capabilityArgs: entry.subject.capabilities,
    result: entry.result,
  });
  expect(await cache.result(network, id)).toEqual(entry.result);
  await cache.remove(network, id);
  await cache.remove(network, id);
  expect(readdirSync(results)).toEqual([]);
  expect(await cache.result(network, id)).toBeUndefined();
});

it('tells the attachments of a network, those of other runtimes too', async () => {
  const { cache, dir } = makeCache();
  expect(await cache.attachments(network)).toEqual([]);
  await cache.put(entry);
  const others = join(dir, 'other', 'results');
  mkdirSync(others, { recursive: true });
  const other = { kind: 'cniCacheV1', containerId: 'c1', ifName: 'net1', networkName: 'pods' };
  writeFileSync(join(others, 'pods-c1-net1'), JSON.stringify(other));
  writeFileSync(join(others, 'pods-b-c2-eth0'), JSON.stringify({ ...other, containerId: 'c2', networkName: 'pods-b' }));
  writeFileSync(join(others, 'elsewhere-c3-eth0'), 'not JSON');
  expect(await cache.attachments(network)).toEqual([
    { containerID: id, ifname: 'eth0' },
    { containerID: 'c1', ifname: 'net1' },
  ]);
});

it('tells none rather than too few', async () => {
  const { cache, results } = makeCache();
  await cache.put(entry);
  writeFileSync(join(results, 'pods-c1-eth0'), '{"cniVersion": "0.4.0"}');
  await expect(cache.attachments(network)).rejects.toThrow('pods-c1-eth0 is no cached CNI result');
});

it.each(['', 'not JSON', '{"kind": "cniCacheV1"}', '{"kind": "other"}'])('has no result in a file with %j', async (text) => {
  const { cache, results } = makeCache();
  await cache.put(entry);
  writeFileSync(join(results, `pods-${id}-eth0`), text);
  expect(await cache.result(network, id)).toBeUndefined();
});

it('fails where it cannot write', async () => {
  const { cache, dir } = makeCache();
  mkdirSync(join(dir, 'cni'));
  writeFileSync(join(dir, 'cni', 'results'), '');
  chmodSync(join(dir, 'cni', 'results'), 0o600);
  await expect(cache.put(entry)).rejects.toThrow(/EEXIST|ENOTDIR/);
});
