import { describe, expect, test } from 'vitest';
import { gunzipSync } from 'node:zlib';
import { parseReference } from '../../../../src/images/reference.ts';
import {
  digestOf,
  hostArchitecture,
  mediaTypes,
  pushArtifact,
  pushBlob,
  pushContainerDisk,
  pushIndex,
  pushManifest,
} from '../../../lib/push-image.ts';
import { hostsDirOf } from '../../../lib/registry-hosts.ts';
import { openPull, readLayer } from '../../../lib/registry-pull.ts';
import { registryUser, type TestRegistry } from '../../../lib/registry-process.ts';
import { startRegistry } from '../../../lib/registry.ts';
import { startTokenServer } from '../../../lib/token-server.ts';

const signal = AbortSignal.timeout(50_000);
const disk = Buffer.from('QFI\xfb and a disk', 'latin1');

/** The registry as a node's administrator configures it. */
function hostsOf({ host, url, ca }: TestRegistry): string {
  return hostsDirOf({
    [`${host}/hosts.toml`]: `server = "${url}"\n${ca === undefined ? '' : 'ca = "authority.pem"\n'}`,
    ...(ca === undefined ? {} : { [`${host}/authority.pem`]: ca }),
  });
}

describe('images of a registry without TLS and authentication', () => {
  test('a containerDisk by tag and by digest', async () => {
    const registry = await startRegistry();
    const { manifest, layer } = await pushContainerDisk({ registry, repository: 'vms/one' }, { tag: 'v1', disk, compression: 'gzip' });
    const pull = openPull(hostsOf(registry));
    for (const reference of [`${registry.host}/vms/one:v1`, `${registry.host}/vms/one@${manifest.digest}`]) {
      const image = await pull.resolve(parseReference(reference), signal);
      expect(image).toMatchObject({
        digest: manifest.digest,
        layers: [{ digest: layer.digest, sizeBytes: layer.size, format: 'qcow2', wrapping: { archive: 'tar', compression: 'gzip' } }],
      });
      expect(gunzipSync(await readLayer(image.layers[0])).includes(disk)).toBe(true);
    }
  });

  test('latest is the tag of a name without one', async () => {
    const registry = await startRegistry();
    const { manifest } = await pushContainerDisk({ registry, repository: 'one' }, { tag: 'latest', disk });
    const image = await openPull(hostsOf(registry)).resolve(parseReference(`${registry.host}/one`), signal);
    expect(image.digest).toBe(manifest.digest);
  });

  test('an artifact, whose layer is the disk, in parts', async () => {
    const registry = await startRegistry();
    const files = [
      { content: Buffer.from('read me'), mediaType: 'text/plain', title: 'README' },
      { content: disk, mediaType: 'application/vnd.vm.disk.qcow2', title: 'disk.qcow2' },
    ];
    const { manifest, layers } = await pushArtifact({ registry, repository: 'vms/artifact' }, { tag: 'a', files });
    const image = await openPull(hostsOf(registry)).resolve(parseReference(`${registry.host}/vms/artifact:a`), signal);
    expect(image).toMatchObject({
      digest: manifest.digest,
      layers: [{ digest: layers[1]?.digest, format: 'qcow2', wrapping: { archive: 'none', compression: 'none' } }],
    });
    expect(image.layers).toHaveLength(1);
    expect(await readLayer(image.layers[0], { range: { from: 0, to: 4 } })).toEqual(disk.subarray(0, 4));
    expect(await readLayer(image.layers[0], { range: { from: 4 } })).toEqual(disk.subarray(4));
  });

  test('an index by platform; its own digest is the image’s', async () => {
    const registry = await startRegistry();
    const target = { registry, repository: 'vms/many' };
    const other = await pushContainerDisk(target, { disk: Buffer.from('other'), architecture: 's390x' });
    const ours = await pushContainerDisk(target, { disk });
    const platform = (architecture: string): { os: string; architecture: string } => ({ os: 'linux', architecture });
    const entries = [
      { ...other.manifest, platform: platform('s390x') },
      { ...ours.manifest, platform: platform(hostArchitecture) },
    ];
    const index = await pushIndex(target, entries, 'many');
    await pushIndex(target, entries.slice(0, 1), 'few');
    const pull = openPull(hostsOf(registry));
    const image = await pull.resolve(parseReference(`${registry.host}/vms/many:many`), signal);
    expect(image).toMatchObject({ digest: index.digest, layers: [{ digest: ours.layer.digest }] });
    await expect(pull.resolve(parseReference(`${registry.host}/vms/many:few`), signal)).rejects.toMatchObject({
      kind: 'manifest',
      message: expect.stringContaining(`nothing for linux/${hostArchitecture}, only linux/s390x`),
    });
  });

  test('an image of another architecture is refused by its configuration', async () => {
    const registry = await startRegistry();
    await pushContainerDisk({ registry, repository: 'one' }, { tag: 'v1', disk, architecture: 's390x' });
    await expect(openPull(hostsOf(registry)).resolve(parseReference(`${registry.host}/one:v1`), signal)).rejects.toMatchObject({
      kind: 'manifest',
      message: expect.stringMatching(/is for "linux\/s390x", not for linux/),
    });
  });

  test('what is not there is said by name', async () => {
    const registry = await startRegistry();
    await pushContainerDisk({ registry, repository: 'one' }, { tag: 'v1', disk });
    const pull = openPull(hostsOf(registry));
    await expect(pull.resolve(parseReference(`${registry.host}/one:v2`), signal)).rejects.toMatchObject({
      kind: 'status',
      registryAway: false,
      message: expect.stringMatching(
        /^there is no manifest "v2" of 127\.0\.0\.1:[0-9]+\/one \(.* says "MANIFEST_UNKNOWN: manifest unknown"\)/,
      ),
    });
  });

  test('layers larger than allowed are refused before any is fetched', async () => {
    const registry = await startRegistry();
    await pushContainerDisk({ registry, repository: 'one' }, { tag: 'v1', disk });
    const pull = openPull(hostsOf(registry), undefined, { maxBytes: 100 });
    await expect(pull.resolve(parseReference(`${registry.host}/one:v1`), signal)).rejects.toMatchObject({
      kind: 'too-large',
      message: expect.stringContaining('images.maxBytes'),
    });
  });
});

describe('what verifies signatures', () => {
  test('is asked with the top digest, and reads what else lies in the repository', async () => {
    const registry = await startRegistry();
    const target = { registry, repository: 'vms/signed' };
    const { manifest } = await pushContainerDisk(target, { tag: 'v1', disk });
    const payload = Buffer.from('{"a":"payload"}');
    const layer = await pushBlob(target, payload, 'application/vnd.dev.cosign.simplesigning.v1+json');
    const config = await pushBlob(target, Buffer.from('{}'), mediaTypes.config);
    const tag = `${manifest.digest.replace(':', '-')}.sig`;
    const signature = await pushManifest(target, { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] }, tag);

    const seen: unknown[] = [];
    const pull = openPull(hostsOf(registry), undefined, {
      verifySignature: async (image, contents, inner) => {
        seen.push(image, await contents.manifest(tag, inner), await contents.blob(layer.digest, 1000, inner));
        seen.push(await contents.manifest('nothing', inner));
        await expect(contents.blob(layer.digest, 3, inner)).rejects.toMatchObject({ kind: 'too-large' });
        await expect(contents.blob(digestOf('nothing'), 1000, inner)).rejects.toMatchObject({ kind: 'status', registryAway: false });
        throw new Error('not signed by whom we trust');
      },
    });
    const reference = parseReference(`${registry.host}/vms/signed:v1`);
    await expect(pull.resolve(reference, signal)).rejects.toThrow('not signed by whom we trust');
    expect(seen).toEqual([
      { host: registry.host, repository: 'vms/signed', reference, digest: manifest.digest },
      expect.objectContaining({ mediaType: mediaTypes.manifest, digest: signature.digest }),
      payload,
      undefined,
    ]);
  });
});

describe('a registry with TLS and Basic authentication', () => {
  async function pushed(): Promise<{ registry: TestRegistry; reference: ReturnType<typeof parseReference> }> {
    const registry = await startRegistry({ tls: true, auth: 'basic' });
    await pushContainerDisk({ registry, repository: 'vms/one' }, { tag: 'v1', disk });
    return { registry, reference: parseReference(`${registry.host}/vms/one:v1`) };
  }

  test('gives the image for user and password in either form', async () => {
    const { registry, reference } = await pushed();
    const pair = Buffer.from(`${registryUser.username}:${registryUser.password}`).toString('base64');
    for (const auth of [registryUser, { auth: pair }, { ...registryUser, serverAddress: `https://${registry.host}/v2/` }]) {
      const { layers } = await openPull(hostsOf(registry), auth).resolve(reference, signal);
      expect((await readLayer(layers[0])).includes(disk)).toBe(true);
    }
  });

  test('does not without them, with wrong ones, or with those of another registry', async () => {
    const { registry, reference } = await pushed();
    const hosts = hostsOf(registry);
    const missing = { kind: 'auth', message: expect.stringMatching(/^authentication required for .* give the pod an imagePullSecret/) };
    await expect(openPull(hosts).resolve(reference, signal)).rejects.toMatchObject(missing);
    await expect(openPull(hosts, { ...registryUser, serverAddress: 'other.example' }).resolve(reference, signal)).rejects.toMatchObject(
      missing,
    );
    await expect(openPull(hosts, { username: 'tester', password: 'wrong' }).resolve(reference, signal)).rejects.toMatchObject({
      kind: 'auth',
      message: expect.stringMatching(/^authentication required: the user, password or token .* is refused/),
    });
  });

  test('is not trusted without its authority, and the message says where that is put', async () => {
    const { registry, reference } = await pushed();
    const byFile = hostsDirOf({ [`${registry.host}/hosts.toml`]: `server = "${registry.url}"\n` });
    await expect(openPull(byFile).resolve(reference, signal)).rejects.toMatchObject({
      kind: 'certificate',
      message: expect.stringContaining(`name its authority's file as ca in ${byFile}/${registry.host}/hosts.toml`),
    });
    const byName = hostsDirOf({ [`${registry.host}/README`]: '' });
    await expect(openPull(byName).resolve(reference, signal)).rejects.toMatchObject({
      kind: 'certificate',
      message: expect.stringContaining(`put its authority's certificate into ${byName}/${registry.host}/ca.crt`),
    });
  });

  test('is trusted by a ca.crt in its directory, or if nothing is to be verified', async () => {
    const { registry, reference } = await pushed();
    for (const hosts of [
      hostsDirOf({ [`${registry.host}/ca.crt`]: registry.ca ?? '' }),
      hostsDirOf({ [`${registry.host.replace(':', '_')}_/ca.crt`]: registry.ca ?? '' }),
      hostsDirOf({ [`${registry.host}/hosts.toml`]: `server = "${registry.url}"\nskip_verify = true\n` }),
    ]) {
      expect((await openPull(hosts, registryUser).resolve(reference, signal)).layers).toHaveLength(1);
    }
  });
});

describe('a registry with a token server', () => {
  test.each([
    ['anybody', {}, undefined],
    ['a user', { user: registryUser }, registryUser],
    ['a refresh token', { refreshToken: 'refresh me' }, { identityToken: 'refresh me' }],
  ] as const)('gives the image to %s', async (_name, rules, auth) => {
    const tokens = await startTokenServer(rules);
    const registry = await startRegistry({ auth: tokens });
    const authorization = `Bearer ${tokens.mint('vms/one', ['pull', 'push'])}`;
    await pushContainerDisk({ registry, repository: 'vms/one', authorization }, { tag: 'v1', disk });
    const { layers } = await openPull(hostsOf(registry), auth).resolve(parseReference(`${registry.host}/vms/one:v1`), signal);
    expect((await readLayer(layers[0])).includes(disk)).toBe(true);
    expect(tokens.requests).toHaveLength(1);
    const [{ method, query, body } = { method: '', query: new URLSearchParams(), body: '' }] = tokens.requests;
    const fields = method === 'POST' ? new URLSearchParams(body) : query;
    expect(Object.fromEntries(fields)).toMatchObject({ service: tokens.service, scope: 'repository:vms/one:pull', client_id: 'vmlet' });
  });

  test('takes a registry token as it is', async () => {
    const tokens = await startTokenServer();
    const registry = await startRegistry({ auth: tokens });
    await pushContainerDisk(
      { registry, repository: 'vms/one', authorization: `Bearer ${tokens.mint('vms/one', ['pull', 'push'])}` },
      { tag: 'v1', disk },
    );
    const registryToken = tokens.mint('vms/one', ['pull']);
    const reference = parseReference(`${registry.host}/vms/one:v1`);
    expect((await openPull(hostsOf(registry), { registryToken }).resolve(reference, signal)).layers).toHaveLength(1);
    await expect(openPull(hostsOf(registry), { registryToken: 'other' }).resolve(reference, signal)).rejects.toMatchObject({
      kind: 'auth',
    });
    expect(tokens.requests).toEqual([]);
  });

  test('gets a new token when the old one is refused in the middle of a pull', async () => {
    const tokens = await startTokenServer();
    const registry = await startRegistry({ auth: tokens });
    await pushContainerDisk(
      { registry, repository: 'vms/one', authorization: `Bearer ${tokens.mint('vms/one', ['pull', 'push'])}` },
      { tag: 'v1', disk },
    );
    tokens.setLifetime({ expiresInS: 300, validForS: -3000 });
    const pull = openPull(hostsOf(registry));
    const reference = parseReference(`${registry.host}/vms/one:v1`);
    await expect(pull.resolve(reference, signal)).rejects.toMatchObject({ kind: 'auth' });
    tokens.setLifetime({ expiresInS: 300, validForS: 300 });
    const { layers } = await pull.resolve(reference, signal);
    expect((await readLayer(layers[0])).includes(disk)).toBe(true);
    expect(tokens.requests).toHaveLength(2);
  });
});
