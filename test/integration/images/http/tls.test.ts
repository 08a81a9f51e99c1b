import type { IncomingMessage } from 'node:http';
import type { ServerOptions } from 'node:https';
import { TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { readBody } from '../../../../src/images/http/read-body.ts';
import type { TlsSettings } from '../../../../src/images/http/transport.ts';
import { makeAuthority } from '../../../lib/certificates.ts';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { openClient } from '../../../lib/http-client.ts';
import { startTlsServer } from '../../../lib/tls-server.ts';

const signal = AbortSignal.timeout(60_000);

async function startTls(options: ServerOptions, onRequest: (request: IncomingMessage) => void = () => undefined): Promise<string> {
  const port = await startTlsServer(options, (request, response) => {
    onRequest(request);
    response.end('disk');
  });
  return `https://disks.example:${port}/`;
}

async function ask(url: string, tls: TlsSettings): Promise<string> {
  const client = openClient({ transport: { tls }, allowed: ['127.0.0.1'], names: { 'disks.example': ['127.0.0.1'] } });
  const answer = await client.send({ url: new URL(url), isConfigured: true }, signal);
  return String(await readBody(answer, 100, signal));
}

describe('a server’s certificate', () => {
  test('is trusted through the transport’s ca, and again on a second connection', async () => {
    const authority = makeAuthority();
    const url = await startTls(authority.issue({ altNames: ['DNS:disks.example'] }));
    const tls = { ca: [authority.cert] };
    expect(await ask(url, tls)).toBe('disk');
    expect(await ask(url, tls)).toBe('disk');
    await expect(ask(url, {})).rejects.toThrow(
      expect.objectContaining({
        kind: 'certificate',
        registryAway: false,
        message: expect.stringMatching(/not trusted .*ca of its transport/),
      }),
    );
    await expect(ask(url, { ca: [makeAuthority().cert] })).rejects.toThrow(expect.objectContaining({ kind: 'certificate' }));
  });

  test('must have the host’s name, or the transport’s serverName, which the server is told', async () => {
    const authority = makeAuthority();
    const asked: unknown[] = [];
    const url = await startTls(authority.issue({ altNames: ['DNS:other.example'] }), ({ socket }) => {
      asked.push(socket instanceof TLSSocket && socket.servername);
    });
    const tls = { ca: [authority.cert] };
    await expect(ask(url, tls)).rejects.toThrow(
      expect.objectContaining({ kind: 'certificate', message: expect.stringMatching(/is for other names .*ERR_TLS_CERT_ALTNAME_INVALID/) }),
    );
    expect(await ask(url, { ...tls, serverName: 'other.example' })).toBe('disk');
    expect(asked).toEqual(['other.example']);
  });

  test('must be valid now', async () => {
    const authority = makeAuthority();
    const url = await startTls(authority.issue({ altNames: ['DNS:disks.example'], isExpired: true }));
    await expect(ask(url, { ca: [authority.cert] })).rejects.toThrow(/has expired \(CERT_HAS_EXPIRED\)/);
  });

  test('may be any where skipVerify is set', async () => {
    const url = await startTls(makeAuthority().issue({ altNames: ['DNS:other.example'], isExpired: true }));
    expect(await ask(url, { skipVerify: true })).toBe('disk');
  });
});

describe('a client certificate', () => {
  test('is shown to a server that wants one', async () => {
    const authority = makeAuthority();
    const options = { ...authority.issue({ altNames: ['DNS:disks.example'] }), requestCert: true, ca: authority.cert };
    const url = await startTls(options);
    const tls = { ca: [authority.cert] };
    expect(await ask(url, { ...tls, certificates: [authority.issue({})] })).toBe('disk');
    await expect(ask(url, tls)).rejects.toThrow(
      expect.objectContaining({ kind: 'certificate', message: expect.stringContaining('may want a client certificate') }),
    );
  });
});

test('a server without TLS is told as such', async () => {
  const server = await startDiskServer();
  await expect(ask(server.url.replace('http:', 'https:'), {})).rejects.toThrow(
    expect.objectContaining({ kind: 'answer', message: expect.stringContaining('does not speak TLS') }),
  );
});

test('TLS is not left by a redirect', async () => {
  const authority = makeAuthority();
  const plain = await startDiskServer();
  const port = await startTlsServer(authority.issue({ altNames: ['DNS:disks.example'] }), (_request, response) => {
    response.writeHead(302, { location: `${plain.url}/` }).end();
  });
  await expect(ask(`https://disks.example:${port}/`, { ca: [authority.cert] })).rejects.toThrow(
    expect.objectContaining({ kind: 'downgrade' }),
  );
  expect(plain.requests).toEqual([]);
});
