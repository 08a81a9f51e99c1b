import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { makeAuthority } from '../../../lib/certificates.ts';
import { startDouble, type DoubleAnswer, type RegistryDouble } from '../../../lib/registry-double.ts';
import { hostsDirOf } from '../../../lib/registry-hosts.ts';
import { openPull, readLayer, resolve, serveArtifact } from '../../../lib/registry-pull.ts';

const disk = Buffer.from('QFI\xfb and a disk', 'latin1');
const user = { username: 'tester', password: 's3cret' };
const basic = `Basic ${Buffer.from('tester:s3cret').toString('base64')}`;

function plainHosts({ host, url }: RegistryDouble): string {
  return hostsDirOf({ [`${host}/hosts.toml`]: `server = "${url}"\n` });
}

/** Answers 401 with this challenge unless the request has one of the fields. */
function wants(challenge: string, ...fields: readonly string[]): (...args: Parameters<DoubleAnswer>) => boolean {
  return ({ headers }, response) => {
    if (fields.includes(headers.authorization ?? '')) return false;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
    return true;
  };
}

function authorizationsOf({ requests }: RegistryDouble, path: string): readonly (string | undefined)[] {
  return requests.filter((each) => each.path === path).map(({ headers }) => headers.authorization);
}

describe('credentials', () => {
  test('are sent when the registry asks, not before', async () => {
    const registry = await startDouble();
    const { manifestPath } = serveArtifact(registry, disk, wants('Basic realm="x"', basic));
    const { layers } = await resolve(openPull(plainHosts(registry), user), `${registry.host}/vms/one:v1`);
    expect(await readLayer(layers[0])).toEqual(disk);
    expect(authorizationsOf(registry, manifestPath)).toEqual([undefined, basic]);
  });

  test('and header fields of the configuration do not follow a blob to another host, whose 401 leads nowhere', async () => {
    const registry = await startDouble();
    const elsewhere = await startDouble();
    const thief = await startDouble();
    const { blobPath } = serveArtifact(registry, disk, wants('Basic realm="x"', basic));
    registry.answer(blobPath, ({ headers }, response) => {
      const status = headers.authorization === basic ? 307 : 401;
      response.writeHead(status, { location: `${elsewhere.url}/stored`, 'www-authenticate': 'Basic realm="x"' }).end();
    });
    const hosts = hostsDirOf({ [`${registry.host}/hosts.toml`]: `server = "${registry.url}"\n[header]\nX-Secret = "of ours"\n` });
    const pull = openPull(hosts, user);
    const { layers } = await resolve(pull, `${registry.host}/vms/one:v1`);

    elsewhere.answer('/stored', (_request, response) => void response.end(disk));
    expect(await readLayer(layers[0])).toEqual(disk);
    elsewhere.answer('/stored', wants(`Bearer realm="${thief.url}/token"`));
    await expect(readLayer(layers[0])).rejects.toMatchObject({ kind: 'auth' });
    expect(elsewhere.requests.map(({ headers }) => [headers.authorization, headers['x-secret']])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
    expect(registry.requests.every(({ headers }) => headers['x-secret'] === 'of ours')).toBe(true);
    expect(thief.requests).toEqual([]);
  });

  test('of a manifest neither', async () => {
    const registry = await startDouble();
    const thief = await startDouble();
    registry.answer('/v2/vms/one/manifests/v1', (_request, response) => {
      response.writeHead(307, { location: `${thief.url}/manifest` }).end();
    });
    thief.answer('/manifest', wants(`Basic realm="x", Bearer realm="${thief.url}/token"`));
    await expect(resolve(openPull(plainHosts(registry), user), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({ kind: 'auth' });
    expect(thief.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([['/manifest', undefined]]);
  });

  test('that cannot be sent are refused without being shown', async () => {
    const registry = await startDouble();
    const bad = openPull(plainHosts(registry), { registryToken: 'se\ncret' });
    await expect(resolve(bad, `${registry.host}/vms/one:v1`)).rejects.toMatchObject({ message: expect.not.stringContaining('cret') });
    expect(registry.requests).toEqual([]);
  });
});

describe('tokens', () => {
  async function withTokens(expiresInS: number): Promise<{ registry: RegistryDouble; tokens: RegistryDouble; challenge: string }> {
    const registry = await startDouble();
    const tokens = await startDouble();
    tokens.answer('/token', (_request, response, count) => {
      response.end(JSON.stringify({ token: `token-${count}`, expires_in: expiresInS }));
    });
    return { registry, tokens, challenge: `Bearer realm="${tokens.url}/token?a=b",service="s",scope="repository:vms/one:pull"` };
  }

  test('serve a whole pull, and are had anew shortly before they expire', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { registry, tokens, challenge } = await withTokens(5); // at least 60 s are meant
    serveArtifact(registry, disk, wants(challenge, 'Bearer token-1', 'Bearer token-2'));
    const { layers } = await resolve(openPull(plainHosts(registry), user), `${registry.host}/vms/one:v1`);
    vi.advanceTimersByTime(40_000);
    await readLayer(layers[0]);
    expect(tokens.requests).toHaveLength(1);
    vi.advanceTimersByTime(10_000);
    await readLayer(layers[0]);
    expect(tokens.requests).toHaveLength(2);
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      'Bearer token-1',
      'Bearer token-1',
      'Bearer token-2',
    ]);
    expect(tokens.requests[0]?.headers.authorization).toBe(basic);
    expect(tokens.requests[0]?.query.get('a')).toBe('b');
  });

  test('are had anew once when the registry refuses them in between, by several ranges at once', async () => {
    const { registry, tokens, challenge } = await withTokens(300);
    let good = 'Bearer token-1';
    serveArtifact(registry, disk, (...args) => wants(challenge, good)(...args));
    const { layers } = await resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`);
    good = 'Bearer token-2';
    const parts = await Promise.all(Array.from({ length: 4 }, async () => readLayer(layers[0])));
    expect(parts).toEqual([disk, disk, disk, disk]);
    expect(tokens.requests).toHaveLength(2);
  });

  test('that are never good enough end the pull soon', async () => {
    const { registry, tokens, challenge } = await withTokens(300);
    const { manifestPath } = serveArtifact(registry, disk, wants(challenge));
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({ kind: 'auth' });
    expect(authorizationsOf(registry, manifestPath)).toEqual([undefined, 'Bearer token-1']);
    expect(tokens.requests).toHaveLength(1);
  });

  test('so do those of a blob', async () => {
    const { registry, tokens, challenge } = await withTokens(300);
    const { blobPath } = serveArtifact(registry, disk);
    registry.answer(blobPath, wants(challenge));
    const { layers } = await resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`);
    await expect(readLayer(layers[0])).rejects.toMatchObject({ kind: 'auth', registryAway: false });
    expect(registry.requests.filter(({ path }) => path === blobPath).map(({ method }) => method)).toEqual(['GET', 'HEAD', 'GET']);
    expect(tokens.requests).toHaveLength(1);
  });

  test('are asked for again when their server is away for a moment', async () => {
    const { registry, tokens, challenge } = await withTokens(300);
    serveArtifact(registry, disk, wants(challenge, 'Bearer late'));
    tokens.answer('/token', (_request, response, count) => {
      if (count < 3) response.writeHead(503, { 'retry-after': '2' }).end();
      else response.end('{"access_token":"late"}');
    });
    const waits: number[] = [];
    const pull = openPull(plainHosts(registry), undefined, { wait: async (ms) => void waits.push(ms) });
    expect((await resolve(pull, `${registry.host}/vms/one:v1`)).layers).toHaveLength(1);
    expect(waits).toEqual([2000, 2000]);
  });

  test.each([
    ['not given', 403, '{"errors":[{"code":"DENIED","message":"no \\u0007\\u2028 way"}]}', 'auth', /denied .* says "DENIED: no \?\? way"/],
    ['no JSON', 200, 'hello', 'auth', /answers without a token/],
    ['no token', 200, '{"token":""}', 'auth', /answers without a token/],
    ['no header field', 200, '{"token":"a\\nb"}', 'auth', /answers without a token/],
    ['endless', 200, `{"token":"${'a'.repeat(70_000)}"}`, 'too-large', /more than 65536 bytes/],
  ] as const)('that are %s end the pull', async (...[, status, body, kind, message]) => {
    const { registry, tokens, challenge } = await withTokens(300);
    serveArtifact(registry, disk, wants(challenge));
    tokens.answer('/token', (_request, response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(body));
    await expect(resolve(openPull(plainHosts(registry)), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind,
      message: expect.stringMatching(message),
    });
  });
});

describe('a realm', () => {
  test.each([
    ['link-local', 'http://169.254.169.254/token', 'address-forbidden', /169\.254\.169\.254/],
    ['in a network that the registry is not in', 'http://10.1.2.3/token', 'address-forbidden', /10\.1\.2\.3/],
    ['no address', 'token', 'auth', /"token", which is no address/],
    ['a file', 'file:///etc/passwd', 'auth', /is no https:\/\/ address/],
    ['with a password', 'http://a:b@127.0.0.1/token', 'auth', /holds a user or password/],
  ] as const)('that is %s is not followed', async (...[, realm, kind, message]) => {
    const registry = await startDouble();
    serveArtifact(registry, disk, wants(`Bearer realm="${realm}"`));
    await expect(resolve(openPull(plainHosts(registry), user), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind,
      message: expect.stringMatching(message),
    });
  });

  test('without TLS is not followed from a registry with it', async () => {
    const authority = makeAuthority();
    const registry = await startDouble(authority.issue({ altNames: ['IP:127.0.0.1'] }));
    const tokens = await startDouble();
    serveArtifact(registry, disk, wants(`Bearer realm="${tokens.url}/token"`));
    const hosts = hostsDirOf({ [`${registry.host}/ca.crt`]: authority.cert });
    await expect(resolve(openPull(hosts, user), `${registry.host}/vms/one:v1`)).rejects.toMatchObject({
      kind: 'auth',
      message: expect.stringMatching(/without TLS/),
    });
    expect(tokens.requests).toEqual([]);
  });

  test('that redirects gets the credentials alone', async () => {
    const registry = await startDouble();
    const tokens = await startDouble();
    const other = await startDouble();
    serveArtifact(registry, disk, wants(`Bearer realm="${tokens.url}/token"`, 'Bearer t'));
    tokens.answer('/token', (_request, response) => void response.writeHead(302, { location: `${other.url}/token` }).end());
    other.answer('/token', (_request, response) => void response.end('{"token":"t"}'));
    await resolve(openPull(plainHosts(registry), user), `${registry.host}/vms/one:v1`);
    expect(tokens.requests.map(({ headers }) => headers.authorization)).toEqual([basic]);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });
});
