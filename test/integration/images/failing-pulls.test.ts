import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DiskFormat } from '../../../src/model/image.ts';
import { startDiskServer, type Answer } from '../../lib/disk-server.ts';
import { filesIn, nothing, openImages } from '../../lib/image-store.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { tempDir } from '../../lib/temp.ts';

const signal = AbortSignal.timeout(120_000);

function source(url: string, fields: { name?: string; format?: DiskFormat; sha256?: string } = {}) {
  return { name: 'disk', format: 'qcow2' as const, url, ...fields };
}

const failing: readonly [string, Answer, { kind: string; away: boolean }, RegExp][] = [
  ['404', (_request, response) => void response.writeHead(404).end(), { kind: 'status', away: false }, /status 404/],
  ['503', (_request, response) => void response.writeHead(503).end(), { kind: 'status', away: true }, /status 503/],
  ['304 that nobody asked for', (_request, response) => void response.writeHead(304).end(), { kind: 'status', away: false }, /status 304/],
  [
    'redirect in a circle',
    (_request, response) => void response.writeHead(302, { location: '/disk' }).end(),
    { kind: 'redirects', away: false },
    /in a circle/,
  ],
  [
    'too many redirects',
    (request, response) => void response.writeHead(302, { location: `${request.url}x` }).end(),
    { kind: 'redirects', away: false },
    /more than 5 times/,
  ],
  [
    'redirect to the metadata service',
    (_request, response) => void response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
    { kind: 'address-forbidden', away: false },
    /leads to 169\.254\.169\.254/,
  ],
  [
    'redirect to a private address as IPv6',
    (_request, response) => void response.writeHead(302, { location: 'http://[::ffff:10.0.0.1]/' }).end(),
    { kind: 'address-forbidden', away: false },
    /leads to ::ffff:a00:1/,
  ],
  [
    'redirect to a name with a private address',
    (_request, response) => void response.writeHead(302, { location: 'http://rebound.example/' }).end(),
    { kind: 'address-forbidden', away: false },
    /leads to 10\.0\.0\.1/,
  ],
  [
    'fewer bytes than announced',
    (_request, response) => {
      response.setHeader('content-length', 5000);
      response.write('QFI\xfb', 'latin1', () => response.destroy());
    },
    { kind: 'too-few-bytes', away: true },
    /announced 5000 bytes, of which/,
  ],
  [
    'connection reset without a length',
    (_request, response) => void response.write('QFI\xfb', 'latin1', () => response.destroy()),
    { kind: 'connection', away: true },
    /the connection fails/,
  ],
  [
    'more bytes than allowed, announced',
    (_request, response) => void response.setHeader('content-length', 2 ** 21).end(Buffer.alloc(2 ** 21)),
    { kind: 'too-large', away: false },
    /images\.maxBytes/,
  ],
  [
    'more bytes than allowed, not announced',
    (_request, response) => {
      response.write(Buffer.alloc(2 ** 20));
      response.end(Buffer.alloc(2 ** 20));
    },
    { kind: 'too-large', away: false },
    /images\.maxBytes/,
  ],
  [
    'web page by its type',
    (_request, response) => void response.setHeader('content-type', 'text/html').end('hello'),
    { kind: 'web-page', away: false },
    /web page/,
  ],
  ['web page by its bytes', (_request, response) => void response.end('\n<!DOCTYPE html>'), { kind: 'web-page', away: false }, /web page/],
  [
    'compressed on the way',
    (_request, response) => void response.setHeader('content-encoding', 'gzip').end('x'),
    { kind: 'answer', away: false },
    /encoding/,
  ],
  [
    'stall in the body',
    (_request, response) => void response.write('QFI\xfb'),
    { kind: 'stalled', away: true },
    /nothing received for 500 ms/,
  ],
  ['stall before the answer', () => undefined, { kind: 'stalled', away: true }, /nothing received for 500 ms/],
];

describe('a pull that fails leaves nothing and says why', () => {
  test.each(failing)('%s', async (_name, answer, { kind, away }, message) => {
    const server = await startDiskServer();
    server.answer('/disk', answer);
    for (let path = '/disk', hop = 0; hop < 7; hop += 1) server.answer((path += 'x'), answer);
    const storeDir = join(tempDir(), 'images');
    const images = await openImages(
      { storeDir, sources: [source(`${server.url}/disk`)], maxBytes: 2 ** 20, stallTimeoutMs: 500 },
      { resolver: (_hostname, done) => done(null, [{ address: '10.0.0.1', family: 4 }]) },
    );
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      expect.objectContaining({
        facts: { code: 'PULL_FAILED', reference: 'disk', reason: away ? 'registry-away' : 'other' },
        message: expect.stringMatching(message),
        cause: expect.objectContaining({ kind }),
      }),
    );
    expect(filesIn(storeDir)).toEqual(nothing);
    expect(images.list()).toEqual([]);
  });

  test('more bytes than announced', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nQFI\xfb and more than that`, 'latin1'));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources: [source(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)] });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(/more than the 4 bytes that it announced/);
    expect(filesIn(storeDir)).toEqual(nothing);
  });

  test('another digest than configured, or than asked for', async () => {
    const server = await startDiskServer();
    server.answer('/disk', newQcow2());
    const storeDir = join(tempDir(), 'images');
    const sources = [source(`${server.url}/disk`, { sha256: '0'.repeat(64) }), source(`${server.url}/disk`, { name: 'free' })];
    const images = await openImages({ storeDir, sources });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      /the bytes of \S+ have the digest sha256:[0-9a-f]{64}, not sha256:0{64}/,
    );
    await expect(images.pull({ reference: `free@sha256:${'1'.repeat(64)}` }, signal)).rejects.toThrow(/not sha256:1{64}/);
    expect(filesIn(storeDir)).toEqual(nothing);
  });

  test('connection refused', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const images = await openImages({ sources: [source(`http://127.0.0.1:${port}/disk`)] });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      expect.objectContaining({
        facts: { code: 'PULL_FAILED', reference: 'disk', reason: 'registry-away' },
        message: expect.stringContaining('the connection is refused'),
      }),
    );
  });

  test('a name that does not resolve', async () => {
    const images = await openImages(
      { sources: [source('http://nowhere.example/disk')] },
      { resolver: (_hostname, done) => done(Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.example'), { code: 'ENOTFOUND' }), []) },
    );
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(/name cannot be resolved \(ENOTFOUND\)/);
  });

  test('a certificate that nobody signed', async () => {
    const dir = tempDir();
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-days', '2'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, ...subject],
      {
        stdio: 'ignore',
      },
    );
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) => void response.end('x'));
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const images = await openImages({ sources: [source(`https://127.0.0.1:${(server.address() as AddressInfo).port}/disk`)] });
    await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow(
      expect.objectContaining({
        facts: { code: 'PULL_FAILED', reference: 'disk', reason: 'other' },
        message: expect.stringMatching(/certificate is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/),
      }),
    );
  });

  test('a signal that is aborted already', async () => {
    const images = await openImages({ sources: [source('http://127.0.0.1:1/')] });
    await expect(images.pull({ reference: 'disk' }, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  });

  test('a reference that is none, or whose host may not be asked', async () => {
    const images = await openImages({ sources: [source('http://127.0.0.1:1/')] });
    await expect(images.pull({ reference: 'UPPER' }, signal)).rejects.toThrow(
      expect.objectContaining({ facts: { code: 'INVALID', field: 'image' } }),
    );
    await expect(images.pull({ reference: 'virtlet.cloud/disks.example/a' }, signal)).rejects.toThrow(/images\.urlHosts/);
    await expect(images.pull({ reference: '127.0.0.1:1/other' }, signal)).rejects.toThrow(/images\.allowedNetworks/);
  });
});

test('memory does not grow with the disk', async () => {
  const server = await startDiskServer();
  const chunk = Buffer.alloc(2 ** 20, 1);
  const chunks = 320;
  server.answer('/disk', (_request, response) => {
    let left = chunks;
    const more = (): void => {
      while (left > 0) {
        left -= 1;
        if (!response.write(chunk)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  const images = await openImages({ sources: [source(`${server.url}/disk`, { format: 'raw' })] });
  const before = process.memoryUsage.rss();
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10);
  const image = await images.pull({ reference: 'disk' }, signal);
  clearInterval(watch);
  expect(image.sizeBytes).toBe(chunks * 2 ** 20);
  expect((most - before) / 2 ** 20).toBeLessThan(160);
});

test('a file of a crash in ingest is gone after the next start', async () => {
  const storeDir = join(tempDir(), 'images');
  const first = await openImages({ storeDir });
  await first.close();
  writeFileSync(join(storeDir, 'ingest', 'half'), 'half a disk');
  await openImages({ storeDir });
  expect(filesIn(storeDir)).toEqual(nothing);
});
