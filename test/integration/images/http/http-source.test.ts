import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeHttpClient } from '../../../../src/images/http/http-client.ts';
import { httpBlobSource, type HttpBlob } from '../../../../src/images/http/http-source.ts';
import { plainTransport } from '../../../../src/images/http/transport.ts';
import { BehindEnd, type BlobBody, type BlobRequest, type BlobSource } from '../../../../src/images/transfer/blob-source.ts';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';

const signal = AbortSignal.timeout(60_000);
const bytes = Buffer.from('0123456789');

function sourceOf(url: string, fields: Partial<HttpBlob> = {}): BlobSource {
  const client = makeHttpClient({ transport: plainTransport, allowedNetworks: [] });
  onTestFinished(() => client[Symbol.dispose]());
  return httpBlobSource(client, { url: new URL(url), isConfigured: true, ...fields });
}

async function open(source: BlobSource, request: BlobRequest = {}): Promise<BlobBody> {
  const body = await source.open(request, signal);
  if (body.kind !== 'body') throw new Error(body.kind);
  return body;
}

async function textOf({ chunks }: BlobBody): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.toString();
  return text;
}

async function rawServer(answer: string, ending: 'end' | 'stay' | 'cut'): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      if (ending === 'cut') socket.write(answer, () => setImmediate(() => socket.destroy()));
      else if (ending === 'end') socket.end(answer);
      else socket.write(answer);
    });
    onTestFinished(() => void socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`;
}

describe('a blob over HTTP', () => {
  test('comes whole, with what the server says of it', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (_request, response) => void response.writeHead(200, { etag: '"a"', 'content-length': 10 }).end(bytes));
    const source = sourceOf(`${server.url}/disk`);
    const body = await open(source);
    expect(body).toMatchObject({ from: 0, isPartial: false, totalBytes: 10, validators: { etag: '"a"' } });
    expect(await textOf(body)).toBe('0123456789');
    expect(source.name).toBe(`${server.url}/disk`);
  });

  test('comes in parts over one connection, each tied to the bytes that we have', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (request, response) => {
      const [, from, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
      const part = bytes.subarray(Number(from), last === '' ? undefined : Number(last) + 1);
      response.writeHead(206, { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/10` }).end(part);
    });
    const source = sourceOf(`${server.url}/disk`);
    const first = await open(source, { range: { from: 2, to: 5 }, ifRange: { etag: '"a"' } });
    expect(first).toMatchObject({ from: 2, isPartial: true, totalBytes: 10, validators: {} });
    expect(await textOf(first)).toBe('234');
    expect(await textOf(await open(source, { range: { from: 5 } }))).toBe('56789');
    expect(server.requests.map(({ headers }) => [headers.range, headers['if-range']])).toEqual([
      ['bytes=2-4', '"a"'],
      ['bytes=5-', undefined],
    ]);
    expect(server.connections()).toBe(1);
  });

  test('unchanged, and behind the end', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (request, response) => void response.writeHead(request.headers['if-none-match'] ? 304 : 416).end());
    const source = sourceOf(`${server.url}/disk`);
    expect(await source.open({ unlessCurrent: { etag: '"a"' } }, signal)).toEqual({ kind: 'unchanged' });
    await expect(source.open({ range: { from: 10 } }, signal)).rejects.toBeInstanceOf(BehindEnd);
  });

  test('gives its connection back when nobody reads it', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (_request, response) => void response.writeHead(200, { 'content-length': 10 }).write('0'));
    const body = await open(sourceOf(`${server.url}/disk`));
    expect(server.connections()).toBe(1);
    await body.chunks[Symbol.asyncIterator]().return?.();
    await waitFor(() => server.connections() === 0, { timeoutMs: 20_000, what: 'closed connection' });
  });
});

test('large bodies stay as they are, also over TLS and in small pieces', async () => {
  const [key, cert] = [join(tempDir(), 'key.pem'), join(tempDir(), 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-days', '2'], {
    stdio: 'ignore',
  });
  const large = randomBytes(3 * 2 ** 20 + 1);
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    if (request.url === '/whole') response.setHeader('content-length', large.length);
    for (let at = 0; at < large.length; at += 5000) response.write(large.subarray(at, at + 5000));
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const client = makeHttpClient({ transport: { ...plainTransport, tls: { skipVerify: true } }, allowedNetworks: [] });
  onTestFinished(() => client[Symbol.dispose]());
  for (const path of ['/whole', '/pieces', '/whole']) {
    const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    const chunks: Buffer[] = [];
    for await (const chunk of (await open(httpBlobSource(client, { url, isConfigured: true }))).chunks) {
      chunks.push(chunk);
      await new Promise(setImmediate);
    }
    expect(Buffer.concat(chunks).equals(large)).toBe(true);
  }
});

describe('who may read', () => {
  test('is asked for anew by each request, and once more when the server wants another', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (request, response) => {
      if (request.headers.authorization === 'Bearer two') response.end(bytes);
      else response.writeHead(401, { 'www-authenticate': 'Bearer realm="r"' }).end();
    });
    let token = 'one';
    const challenges: (string | undefined)[] = [];
    const source = sourceOf(`${server.url}/disk`, {
      authorize: async () => `Bearer ${token}`,
      onUnauthorized: async (challenge) => {
        challenges.push(challenge);
        token = 'two';
        return true;
      },
    });
    expect(await textOf(await open(source))).toBe('0123456789');
    expect(challenges).toEqual(['Bearer realm="r"']);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer one', 'Bearer two']);
  });

  test('is refused after one more time, or when nothing better is known', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (_request, response) => void response.writeHead(401).end());
    const asked = sourceOf(`${server.url}/disk`, { onUnauthorized: async () => true });
    await expect(open(asked)).rejects.toMatchObject({ kind: 'status', registryAway: false });
    expect(server.requests).toHaveLength(2);
    const given = sourceOf(`${server.url}/disk`, { onUnauthorized: async () => false });
    await expect(open(given)).rejects.toMatchObject({ kind: 'auth', message: expect.stringContaining('user, password or token') });
  });
});

describe('answers that lie', () => {
  test.each([
    ['fewer bytes than announced', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123', 'end', 'too-few-bytes', true],
    ['a cut', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123', 'cut', 'too-few-bytes', true],
    ['a cut without an announced length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n', 'cut', 'connection', true],
    ['more bytes than announced', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n0123 and more', 'end', 'too-many-bytes', false],
    [
      'more bytes than the range has',
      'HTTP/1.1 206 P\r\nContent-Range: bytes 0-3/9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n',
      'stay',
      'too-many-bytes',
      false,
    ],
    [
      'fewer bytes than the range has',
      'HTTP/1.1 206 P\r\nContent-Range: bytes 0-3/9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n',
      'stay',
      'too-few-bytes',
      true,
    ],
    ['a web page', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>', 'stay', 'web-page', false],
  ] as const)('%s', async (...[, answer, ending, kind, registryAway]) => {
    const source = sourceOf(await rawServer(answer, ending));
    const reading = open(source, { range: { from: 0, to: 4 } }).then(textOf);
    await expect(reading).rejects.toMatchObject({ kind, registryAway });
  });

  test('the signal ends a body that does not come, with its reason', async () => {
    const source = sourceOf(await rawServer('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123', 'stay'));
    const controller = new AbortController();
    const body = await source.open({}, controller.signal);
    if (body.kind !== 'body') throw new Error(body.kind);
    const chunks = body.chunks[Symbol.asyncIterator]();
    expect(await chunks.next()).toEqual({ done: false, value: Buffer.from('0123') });
    const next = chunks.next();
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
  });
});
