import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { makeAuthority } from '../../../lib/certificates.ts';
import { digestOf } from '../../../lib/push-image.ts';
import { startDouble } from '../../../lib/registry-double.ts';
import { hostsDirOf } from '../../../lib/registry-hosts.ts';
import { openPull, readLayer, resolve, serveArtifact } from '../../../lib/registry-pull.ts';

const disk = Buffer.from('QFI\xfb and a disk', 'latin1');
const user = { username: 'tester', password: 's3cret' };

/** A port of loopback where nobody listens. */
async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

describe('mirrors', () => {
  test('are asked in order, then the server; each is told which registry is meant', async () => {
    const [empty, full, server] = [await startDouble(), await startDouble(), await startDouble()];
    const gone = await closedPort();
    serveArtifact(full, disk);
    serveArtifact(server, disk);
    const hosts = hostsDirOf({
      'registry.example/hosts.toml': `server = "${server.url}"\n[host."http://${gone}"]\n[host."${empty.url}"]\n[host."${full.url}"]\n`,
    });
    const { layers } = await resolve(openPull(hosts), 'registry.example/vms/one:v1');
    expect(await readLayer(layers[0])).toEqual(disk);
    expect(empty.requests.map(({ query }) => query.get('ns'))).toEqual(['registry.example', 'registry.example']);
    expect(full.requests).toHaveLength(2);
    expect(server.requests).toEqual([]);
  });

  test('a layer comes from the next one when one has it no more', async () => {
    const [mirror, server] = [await startDouble(), await startDouble()];
    const { blobPath } = serveArtifact(mirror, disk);
    serveArtifact(server, disk);
    mirror.answer(blobPath, (_request, response) => void response.writeHead(500).end());
    const hosts = hostsDirOf({ 'registry.example/hosts.toml': `server = "${server.url}"\n[host."${mirror.url}"]\n` });
    const { layers } = await resolve(openPull(hosts), 'registry.example/vms/one:v1');
    expect(await readLayer(layers[0])).toEqual(disk);
    expect(await readLayer(layers[0])).toEqual(disk);
    expect(mirror.requests.filter(({ path }) => path === blobPath)).toHaveLength(1);
  });

  test('that may not say what a tag means are asked for digests alone', async () => {
    const [mirror, server] = [await startDouble(), await startDouble()];
    serveArtifact(mirror, disk);
    const { manifest } = serveArtifact(server, disk);
    const hosts = hostsDirOf({ '_default/hosts.toml': `server = "${server.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull"]\n` });
    const pull = openPull(hosts);
    const { layers } = await resolve(pull, 'registry.example/vms/one:v1');
    expect(mirror.requests).toEqual([]);
    await readLayer(layers[0]);
    await resolve(pull, `registry.example/vms/one@${digestOf(manifest)}`);
    expect(mirror.requests).toHaveLength(2);
    expect(server.requests).toHaveLength(1);
  });

  test('whose bytes are other ones are passed by', async () => {
    const [mirror, server] = [await startDouble(), await startDouble()];
    const { manifest } = serveArtifact(server, disk);
    mirror.answer(`/v2/vms/one/manifests/${digestOf(manifest)}`, (_request, response) => {
      response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json').end('{"schemaVersion":2}');
    });
    const hosts = hostsDirOf({ 'registry.example/hosts.toml': `server = "${server.url}"\n[host."${mirror.url}"]\n` });
    const reference = `registry.example/vms/one@${digestOf(manifest)}`;
    expect((await resolve(openPull(hosts), reference)).digest).toBe(digestOf(manifest));
  });

  test('all that were asked are named when none has the image', async () => {
    const [mirror, server] = [await startDouble(), await startDouble()];
    const hosts = hostsDirOf({ 'registry.example/hosts.toml': `server = "${server.url}"\n[host."${mirror.url}"]\n` });
    await expect(resolve(openPull(hosts), 'registry.example/vms/one:v1')).rejects.toMatchObject({
      kind: 'status',
      registryAway: false,
      message: expect.stringMatching(
        new RegExp(`^tried 2 hosts: ${mirror.host} \\(there is no manifest .*; ${server.host} \\(there is no`),
      ),
    });
  });

  test('get no credentials of the registry, unless those name them', async () => {
    const [mirror, server] = [await startDouble(), await startDouble()];
    const basic = `Basic ${Buffer.from('tester:s3cret').toString('base64')}`;
    for (const double of [mirror, server]) {
      serveArtifact(double, disk, ({ headers }, response) => {
        if (headers.authorization === basic) return false;
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      });
    }
    const hosts = hostsDirOf({ 'registry.example/hosts.toml': `server = "${server.url}"\n[host."${mirror.url}"]\n` });
    for (const auth of [user, { ...user, serverAddress: 'https://registry.example/v1/' }, { ...user, serverAddress: server.host }]) {
      expect((await resolve(openPull(hosts, auth), 'registry.example/vms/one:v1')).layers).toHaveLength(1);
    }
    expect(mirror.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined, undefined]);
    expect(server.requests).toHaveLength(6);
    await resolve(openPull(hosts, { ...user, serverAddress: `http://${mirror.host}` }), 'registry.example/vms/one:v1');
    expect(server.requests).toHaveLength(6);
  });

  test('below a path of their own are known by longer names', async () => {
    const registry = await startDouble();
    const { manifest } = serveArtifact(registry, disk);
    const scopes: (string | null)[] = [];
    registry.answer('/token', ({ query }, response) => {
      scopes.push(query.get('scope'));
      response.end('{"token":"t"}');
    });
    const challenge = `Bearer realm="${registry.url}/token",scope="repository:cache/library/one:pull"`;
    registry.answer('/v2/cache/library/one/manifests/v1', ({ headers, query }, response) => {
      expect(query.get('ns')).toBe('docker.io');
      if (headers.authorization === 'Bearer t')
        response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json').end(manifest);
      else response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    const hosts = hostsDirOf({
      'docker.io/hosts.toml': `server = "http://${await closedPort()}"\n[host."${registry.url}/v2/cache"]\noverride_path = true\n`,
    });
    expect((await resolve(openPull(hosts), 'one:v1')).digest).toBe(digestOf(manifest));
    expect(scopes).toEqual(['repository:cache/library/one:pull']);
  });
});

describe('hosts that nobody configured', () => {
  test('may not be the node itself', async () => {
    const registry = await startDouble();
    for (const hosts of [hostsDirOf({}), hostsDirOf({ '_default/hosts.toml': '' }), `${hostsDirOf({})}/absent`]) {
      await expect(resolve(openPull(hosts), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({ kind: 'address-forbidden' });
    }
    expect(registry.requests).toEqual([]);
  });

  test('must have TLS', async () => {
    const registry = await startDouble();
    const hosts = hostsDirOf({ [`${registry.host}/README`]: '' });
    await expect(resolve(openPull(hosts), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      message: expect.stringContaining(`https://${registry.host}`),
    });
    expect(registry.requests).toEqual([]);
  });
});

describe('TLS of a registry', () => {
  test('a client’s certificate is shown, from pairs and by names', async () => {
    const authority = makeAuthority();
    const issued = authority.issue({ altNames: ['IP:127.0.0.1'] });
    const client = authority.issue({});
    const registry = await startDouble({ ...issued, requestCert: true, rejectUnauthorized: true, ca: authority.cert });
    serveArtifact(registry, disk);
    const files = { [`${registry.host}/ca.crt`]: authority.cert };
    const both = {
      ...files,
      [`${registry.host}/client.cert`]: client.cert,
      [`${registry.host}/client.key`]: client.key,
    };
    const pairs = `ca = ["ca.crt"]\nclient = [["client.cert", "client.key"]]\nserver = "${registry.url}"\n`;
    for (const hosts of [hostsDirOf(both), hostsDirOf({ ...both, [`${registry.host}/hosts.toml`]: pairs })]) {
      expect((await resolve(openPull(hosts), `${registry.host}/vms/one:v1`)).layers).toHaveLength(1);
    }
    const without = hostsDirOf(files);
    await expect(resolve(openPull(without), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind: 'certificate',
      message: expect.stringContaining(`put one into ${without}/${registry.host}/client.cert`),
    });
  });

  test('a certificate for another name is said as such', async () => {
    const authority = makeAuthority();
    const registry = await startDouble(authority.issue({ altNames: ['DNS:other.example'] }));
    const hosts = hostsDirOf({ [`${registry.host}/ca.crt`]: authority.cert });
    await expect(resolve(openPull(hosts), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind: 'certificate',
      message: expect.stringMatching(/is for other names \(ERR_TLS_CERT_ALTNAME_INVALID\): it must be for 127\.0\.0\.1$/),
    });
  });
});
