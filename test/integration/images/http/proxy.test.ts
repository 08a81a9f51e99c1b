import { describe, expect, test } from 'vitest';
import type { HttpRequest } from '../../../../src/images/http/http-client.ts';
import { readBody } from '../../../../src/images/http/read-body.ts';
import type { Transport } from '../../../../src/images/http/transport.ts';
import { makeAuthority } from '../../../lib/certificates.ts';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { openClient } from '../../../lib/http-client.ts';
import { startProxy, type ProxyDouble } from '../../../lib/proxy-double.ts';
import { startRawServer } from '../../../lib/raw-server.ts';
import { startTlsServer } from '../../../lib/tls-server.ts';
import { waitFor } from '../../../lib/wait.ts';

const signal = AbortSignal.timeout(60_000);
const names = { 'disks.example': '127.0.0.1' };

/** The client's own resolver knows no name: only the proxy does. */
async function ask(proxy: string, url: string, fields: Partial<HttpRequest> = {}, transport: Partial<Transport> = {}): Promise<string> {
  const client = openClient({ transport: { proxy, ...transport } });
  const answer = await client.send({ url: new URL(url), isConfigured: false, ...fields }, signal);
  return String(await readBody(answer, 100, signal));
}

async function startPlain() {
  const server = await startDiskServer();
  server.answer('/disk', Buffer.from('disk'));
  return { server, port: new URL(server.url).port };
}

describe('through a proxy', () => {
  test('an http server is asked, with the proxy’s credentials for the proxy alone', async () => {
    const { server, port } = await startPlain();
    const proxy = await startProxy({ names, credentials: 'user:p@ss' });
    const url = `http://disks.example:${port}/disk`;
    expect(await ask(`http://user:p%40ss@${proxy.host}`, url, { authorization: 'Basic eA==' })).toBe('disk');
    expect(proxy.asked).toEqual([`GET ${url}`]);
    expect(server.requests[0]?.headers).toMatchObject({ authorization: 'Basic eA==', host: `disks.example:${port}` });
    expect(server.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  test('an https server is asked in a tunnel, whose certificate counts, and one tunnel serves many requests', async () => {
    const authority = makeAuthority();
    const port = await startTlsServer(authority.issue({ altNames: ['DNS:disks.example'] }), (_request, response) => response.end('disk'));
    const proxy = await startProxy({ names: { ...names, 'other.example': '127.0.0.1' }, credentials: 'user:pw' });
    const client = openClient({ transport: { proxy: `http://user:pw@${proxy.host}`, tls: { ca: [authority.cert] } } });
    for (let turn = 0; turn < 2; turn += 1) {
      const answer = await client.send({ url: new URL(`https://disks.example:${port}/disk`), isConfigured: false }, signal);
      expect(String(await readBody(answer, 100, signal))).toBe('disk');
      expect(answer.range).toBe('unknown');
    }
    expect(proxy.asked).toEqual([`CONNECT disks.example:${port}`]);
    await expect(client.send({ url: new URL(`https://other.example:${port}/disk`), isConfigured: false }, signal)).rejects.toThrow(
      /is for other names/,
    );
    client[Symbol.dispose]();
    await waitFor(() => proxy.connections() === 0, { timeoutMs: 10_000, what: 'end of the tunnels' });
  });
});

describe('what a proxy may not be asked for', () => {
  test.each([
    ['an address of loopback', 'http://127.0.0.1:PORT/disk', {}],
    ['in another spelling', 'http://2130706433:PORT/disk', {}],
    ['localhost, which is its own', 'http://localhost:PORT/disk', {}],
    ['the same with TLS', 'https://127.0.0.1:PORT/disk', {}],
    ['a private address that a server sent us to', 'http://10.0.0.1/', { referredFrom: 'public' }],
    ['or whose server is unknown', 'http://10.0.0.1/', { referredFrom: 'unknown' }],
  ])('%s', async (_name, url, fields) => {
    const { port } = await startPlain();
    const proxy = await startProxy({ names });
    await expect(ask(`http://${proxy.host}`, url.replace('PORT', port), fields)).rejects.toThrow(
      expect.objectContaining({ kind: 'address-forbidden' }),
    );
    expect(proxy.asked).toEqual([]);
  });

  test('addresses that a redirect names', async () => {
    const { server, port } = await startPlain();
    const proxy = await startProxy({ names });
    for (const location of ['http://169.254.169.254/', `http://127.0.0.1:${port}/disk`, 'http://localhost/', 'http://10.0.0.1/']) {
      server.answer('/away', (_request, response) => void response.writeHead(302, { location }).end());
      await expect(ask(`http://${proxy.host}`, `http://disks.example:${port}/away`)).rejects.toThrow(
        expect.objectContaining({ kind: 'address-forbidden' }),
      );
    }
    expect(new Set(proxy.asked)).toEqual(new Set([`GET http://disks.example:${port}/away`]));
  });
});

describe('a proxy that does not help', () => {
  const failing = async (proxy: ProxyDouble, user = '', transport: Partial<Transport> = {}): Promise<string> =>
    ask(`http://${user}${proxy.host}`, 'https://disks.example/disk', {}, transport);

  test('wants other credentials', async () => {
    const proxy = await startProxy({ names, credentials: 'user:right' });
    await expect(failing(proxy, 'user:wrong@')).rejects.toThrow(
      expect.objectContaining({ kind: 'auth', registryAway: false, message: expect.not.stringContaining('wrong') }),
    );
  });

  test.each([
    [403, 'status', false],
    [502, 'status', true],
  ])('answers %s', async (answer, kind, registryAway) => {
    await expect(failing(await startProxy({ names, answer }))).rejects.toThrow(
      expect.objectContaining({ kind, registryAway, message: expect.stringContaining(`status ${answer}`) }),
    );
  });

  test('is silent, and is hung up on', async () => {
    const proxy = await startProxy({ names, answer: 'silent' });
    await expect(failing(proxy, '', { connectTimeoutMs: 500 })).rejects.toThrow(
      expect.objectContaining({ kind: 'connection', registryAway: true }),
    );
    await waitFor(() => proxy.connections() === 0, { timeoutMs: 10_000, what: 'end of the connection' });
  });

  test('leads to a server that never speaks TLS: the tunnel is closed with the client', async () => {
    const { port } = await startRawServer(() => undefined);
    const proxy = await startProxy({ names });
    const client = openClient({ transport: { proxy: `http://${proxy.host}`, connectTimeoutMs: 500 } });
    await expect(client.send({ url: new URL(`https://disks.example:${port}/`), isConfigured: false }, signal)).rejects.toThrow(
      expect.objectContaining({ kind: 'connection', registryAway: true, message: expect.stringContaining('no connection within 500 ms') }),
    );
    client[Symbol.dispose]();
    await waitFor(() => proxy.connections() === 0, { timeoutMs: 10_000, what: 'end of the tunnel' });
  });

  test('does not keep a caller that goes away', async () => {
    const proxy = await startProxy({ names, answer: 'silent' });
    const controller = new AbortController();
    const client = openClient({ transport: { proxy: `http://${proxy.host}` } });
    const outcome = Promise.allSettled([client.send({ url: new URL('https://disks.example/'), isConfigured: false }, controller.signal)]);
    await waitFor(() => proxy.asked.length === 1, { timeoutMs: 10_000, what: 'request' });
    controller.abort(new Error('gone'));
    expect(await outcome).toEqual([{ status: 'rejected', reason: new Error('gone') }]);
  });

  test('is not there', async () => {
    await expect(ask('http://127.0.0.1:1', 'http://disks.example/disk')).rejects.toThrow(/the connection is refused/);
  });
});
