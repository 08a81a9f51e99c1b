import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { parseReference } from '../../../../src/images/reference.ts';
import { digestOf, mediaTypes } from '../../../lib/push-image.ts';
import { startDouble, type RegistryDouble } from '../../../lib/registry-double.ts';
import { hostsDirOf } from '../../../lib/registry-hosts.ts';
import { openPull, readLayer, resolve, serveArtifact } from '../../../lib/registry-pull.ts';

const signal = AbortSignal.timeout(50_000);
const disk = Buffer.from('QFI\xfb and a disk', 'latin1');
const manifestPath = '/v2/vms/one/manifests/v1';

function plainHosts({ host, url }: RegistryDouble): string {
  return hostsDirOf({ [`${host}/hosts.toml`]: `server = "${url}"\n` });
}

async function answered(body: unknown, fields: Readonly<Record<string, string>> = {}, status = 200): Promise<unknown> {
  const registry = await startDouble();
  registry.answer(manifestPath, (_request, response) => {
    response.writeHead(status, { 'content-type': mediaTypes.manifest, ...fields });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  return resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`);
}

const empty = { mediaType: mediaTypes.empty, digest: digestOf('{}'), size: 2 };
const layer = { mediaType: 'application/vnd.vm.disk.qcow2', digest: digestOf(disk), size: disk.length };
const good = { schemaVersion: 2, mediaType: mediaTypes.manifest, config: empty, layers: [layer] };

describe('answers that are no manifest', () => {
  test.each<[string, string, Readonly<Record<string, string>>, string, RegExp]>([
    ['a web page', '<html>', { 'content-type': 'text/html; charset=utf-8' }, 'web-page', /is a web page: is this a registry\?/],
    ['something else', '{}', { 'content-type': 'application/json' }, 'answer', /sent as "application\/json", which is no manifest/],
    ['no type at all', '{}', { 'content-type': '' }, 'answer', /which is no manifest/],
    ['schema 1', '{}', { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' }, 'manifest', /old schema 1/],
    ['compressed', '{}', { 'content-encoding': 'gzip' }, 'answer', /encoding that was not asked for/],
    ['no JSON', 'hello', {}, 'manifest', /no JSON object/],
    ['of a million parts', `{"schemaVersion":2,"layers":[${'{},'.repeat(1_300_000)}{}]}`, {}, 'manifest', /one of too many parts/],
    ['deep', `${'['.repeat(100_000)}`, {}, 'manifest', /no JSON object/],
  ])('%s', async (...[, body, fields, kind, message]) => {
    await expect(answered(body, fields)).rejects.toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test('an endless one is cut off', async () => {
    const registry = await startDouble();
    const closed = Promise.withResolvers<void>();
    registry.answer(manifestPath, (_request, response) => {
      response.setHeader('content-type', mediaTypes.manifest);
      response.once('close', closed.resolve);
      const pour = (): void => {
        while (response.write('x'.repeat(65_536)));
      };
      response.on('drain', pour);
      pour();
    });
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind: 'too-large',
      message: expect.stringContaining('4194304'),
    });
    await closed.promise;
  });
});

describe('manifests that contradict', () => {
  test.each<[string, unknown, RegExp]>([
    [
      'their type',
      { ...good, mediaType: mediaTypes.index },
      /calls itself "application\/vnd\.oci\.image\.index\.v1\+json", but was sent as/,
    ],
    ['themselves', { ...good, manifests: [] }, /no manifest by the OCI specification \(field "manifests"\)/],
    ['the version', { ...good, schemaVersion: 1 }, /field "schemaVersion"/],
    ['arithmetic', { ...good, layers: [{ ...layer, size: -1 }] }, /field "layers.0.size"/],
    ['sense', { ...good, layers: [{ ...layer, size: 2 ** 60 }] }, /field "layers.0.size"/],
    ['their purpose', { ...good, layers: [] }, /has no layers/],
    ['moderation', { ...good, layers: Array.from({ length: 65 }, () => layer) }, /65 layers, more than 64/],
    [
      'verification',
      { ...good, layers: [{ ...layer, digest: `sha512:${'0'.repeat(128)}` }] },
      /"sha512:0+\.\.\.", which is no sha256 digest/,
    ],
    ['the path', { ...good, layers: [{ ...layer, digest: '../../x' }] }, /which is no sha256 digest/],
    ['the registry', { ...good, layers: [{ ...layer, urls: ['http://169.254.169.254/'] }] }, /foreign layer/],
    ['each other', { ...good, layers: [layer, layer] }, /an artifact with 2 layers whose media type or title says/],
    ['the disk', { ...good, layers: [{ ...layer, mediaType: 'text/plain\u0007' }] }, /no layer whose .* it has "text\/plain\?" titled ""/],
  ])('%s', async (_name, manifest, message) => {
    await expect(answered(manifest)).rejects.toMatchObject({ kind: 'manifest', message: expect.stringMatching(message) });
  });

  test('the announced digest', async () => {
    await expect(answered(good, { 'docker-content-digest': digestOf('other') })).rejects.toMatchObject({ kind: 'digest' });
    await expect(answered(good, { 'docker-content-digest': digestOf(JSON.stringify(good)) })).resolves.toMatchObject({ layers: [{}] });
  });

  test('the digest that was asked for', async () => {
    const registry = await startDouble();
    const wanted = digestOf('what was asked for');
    registry.answer(`/v2/vms/one/manifests/${wanted}`, (_request, response) => {
      response.writeHead(200, { 'content-type': mediaTypes.manifest, 'docker-content-digest': wanted }).end(JSON.stringify(good));
    });
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one@${wanted}`)).rejects.toMatchObject({
      kind: 'digest',
      message: expect.stringContaining(`not "${wanted}"`),
    });
  });
});

describe('indexes', () => {
  async function nested(depth: number): Promise<unknown> {
    const registry = await startDouble();
    let [body, mediaType]: [string, string] = [JSON.stringify(good), mediaTypes.manifest];
    for (let level = 0; level < depth; level += 1) {
      const [inner, innerType] = [body, mediaType];
      registry.answer(`/v2/vms/one/manifests/${digestOf(inner)}`, (_request, response) => {
        response.writeHead(200, { 'content-type': innerType }).end(inner);
      });
      const manifests = [{ mediaType, digest: digestOf(body), size: body.length }];
      [body, mediaType] = [JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }), mediaTypes.index];
    }
    registry.answer(manifestPath, (_request, response) => void response.writeHead(200, { 'content-type': mediaType }).end(body));
    return resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`);
  }

  test('may hold one another once', async () => {
    await expect(nested(1)).resolves.toMatchObject({ layers: [{}] });
    await expect(nested(2)).resolves.toMatchObject({ layers: [{}] });
    await expect(nested(3)).rejects.toMatchObject({ kind: 'manifest', message: expect.stringContaining('more than 2 deep') });
  });

  test('must say the size of what they hold', async () => {
    const registry = await startDouble();
    const body = JSON.stringify(good);
    registry.answer(`/v2/vms/one/manifests/${digestOf(body)}`, (_request, response) => {
      response.writeHead(200, { 'content-type': mediaTypes.manifest }).end(body);
    });
    const manifests = [{ mediaType: mediaTypes.manifest, digest: digestOf(body), size: 1 }];
    registry.answer(manifestPath, (_request, response) => {
      response.writeHead(200, { 'content-type': mediaTypes.index }).end(JSON.stringify({ schemaVersion: 2, manifests }));
    });
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind: 'manifest',
      message: expect.stringContaining('its index says 1'),
    });
  });
});

describe('statuses', () => {
  const json = { 'content-type': 'application/json' };
  test.each<[number, string, Readonly<Record<string, string>>, Readonly<Record<string, unknown>>, RegExp]>([
    [
      403,
      '{"errors":[{"code":"DENIED"}]}',
      json,
      { kind: 'auth' },
      /access to manifest "v1" .* says "DENIED"\): it may need an imagePullSecret/,
    ],
    [404, '', {}, { kind: 'status', registryAway: false }, /there is no manifest "v1"/],
    [410, 'gone', {}, { kind: 'status', registryAway: false }, /HTTP status 410$/],
    [429, '', { 'retry-after': '3600' }, { kind: 'status', registryAway: true, retryAfterMs: 3_600_000 }, /HTTP status 429/],
    [500, `{"errors":[{"code":"X","message":"${'y'.repeat(500)}"}]}`, json, { registryAway: true }, /status 500 \("X: y{50,97}\.\.\."\)$/],
    [401, '', { 'www-authenticate': 'Basic realm="' }, { kind: 'auth' }, /in a way that cannot be read/],
    [401, '', {}, { kind: 'auth' }, /authentication required for manifest/],
    [204, '', {}, { kind: 'status' }, /HTTP status 204/],
  ])('%s', async (...[status, body, fields, facts, message]) => {
    await expect(answered(body, fields, status)).rejects.toMatchObject({ ...facts, message: expect.stringMatching(message) });
  });

  test('that will pass are waited for, up to three times and as long as the registry wants', async () => {
    const registry = await startDouble();
    const { manifest } = serveArtifact(registry, disk, ({ path }, response, count) => {
      if (path !== manifestPath || count > 2) return false;
      response.writeHead(count === 1 ? 429 : 503, count === 1 ? { 'retry-after': '7' } : {}).end();
      return true;
    });
    const waits: number[] = [];
    const pull = openPull(plainHosts(registry), undefined, { wait: async (ms) => void waits.push(ms) });
    expect((await resolve(pull, `${registry.host}/vms/one:v1`)).digest).toBe(digestOf(manifest));
    expect(waits).toEqual([7000, expect.any(Number)]);
    registry.answer(manifestPath, (_request, response) => void response.writeHead(502).end());
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({ registryAway: true });
    expect(registry.requests).toHaveLength(6);
  });
});

describe('a layer', () => {
  test.each<[number, Readonly<Record<string, unknown>>, RegExp]>([
    [403, { kind: 'auth', registryAway: false }, /access to blob sha256:[0-9a-f]{64} of vms\/one is denied/],
    [404, { kind: 'status', registryAway: false }, /there is no blob sha256:/],
    [503, { kind: 'status', registryAway: true }, /HTTP status 503/],
  ])('that is answered with %s', async (status, facts, message) => {
    const registry = await startDouble();
    const { blobPath } = serveArtifact(registry, disk);
    registry.answer(blobPath, (_request, response) => void response.writeHead(status).end());
    const { layers } = await resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`);
    await expect(readLayer(layers[0])).rejects.toMatchObject({ ...facts, message: expect.stringMatching(message) });
  });

  test('a small one read into memory is verified', async () => {
    const registry = await startDouble();
    const { blobPath } = serveArtifact(registry, disk);
    registry.answer(blobPath, (_request, response) => void response.end('other bytes'));
    const contents = await openPull(plainHosts(registry)).contents(parseReference(`${registry.host}/vms/one:v1`), signal);
    await expect(contents.blob(digestOf(disk), 1000, signal)).rejects.toMatchObject({ kind: 'digest' });
    await expect(contents.blob('sha256:x', 1000, signal)).rejects.toMatchObject({ kind: 'manifest' });
  });
});

test('the caller’s signal ends a registry that does not answer, with its reason', async () => {
  const registry = await startDouble();
  const asked = Promise.withResolvers<void>();
  registry.answer(manifestPath, (_request, response) => {
    asked.resolve();
    void once(response, 'close');
  });
  const controller = new AbortController();
  const resolving = openPull(plainHosts(registry)).resolve(parseReference(`${registry.host}/vms/one:v1`), controller.signal);
  await Promise.race([asked.promise, resolving]);
  controller.abort(new Error('enough'));
  await expect(resolving).rejects.toThrow('enough');
});
