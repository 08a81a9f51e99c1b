import { describe, expect, onTestFinished, test } from 'vitest';
import { readBody } from '../../../../src/images/http/read-body.ts';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { openClient } from '../../../lib/http-client.ts';
import { startRawServer } from '../../../lib/raw-server.ts';
import { waitFor } from '../../../lib/wait.ts';

const signal = AbortSignal.timeout(60_000);

describe('what is secret', () => {
  test('goes to the url’s own origin, not to others, and not back from them', async () => {
    const [own, other] = [await startDiskServer(), await startDiskServer()];
    own.answer('/1', (_request, response) => void response.writeHead(302, { location: '/2' }).end());
    own.answer('/2', (_request, response) => void response.writeHead(302, { location: `${other.url}/3` }).end());
    other.answer('/3', (_request, response) => void response.writeHead(302, { location: `${own.url}/4` }).end());
    own.answer('/4', Buffer.from('x'));
    const fields = { authorization: 'Basic c2VjcmV0', originHeaders: { 'x-token': 'secret' }, headers: { range: 'bytes=0-' } };
    await openClient().send({ url: new URL(`${own.url}/1`), isConfigured: true, ...fields }, signal);
    const seen = [...own.requests, ...other.requests].map(({ path, headers }) => [
      path,
      headers.authorization,
      headers['x-token'],
      headers.range,
    ]);
    expect(seen).toEqual([
      ['/1', 'Basic c2VjcmV0', 'secret', 'bytes=0-'],
      ['/2', 'Basic c2VjcmV0', 'secret', 'bytes=0-'],
      ['/4', undefined, undefined, 'bytes=0-'],
      ['/3', undefined, undefined, 'bytes=0-'],
    ]);
  });

  test('does not come from a redirect’s address either', async () => {
    const server = await startDiskServer();
    server.answer(
      '/1',
      (_request, response) => void response.writeHead(302, { location: `${server.url}/2`.replace('//', '//user:pw@') }).end(),
    );
    server.answer('/2', Buffer.from('x'));
    await openClient().send({ url: new URL(`${server.url}/1`), isConfigured: true }, signal);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  });
});

describe('redirects', () => {
  test('are counted', async () => {
    const server = await startDiskServer();
    for (let hop = 0; hop < 9; hop += 1)
      server.answer(`/${hop}`, (_request, response) => void response.writeHead(302, { location: `/${hop + 1}` }).end());
    const send = async (from: number, maxRedirects: number) =>
      openClient({ transport: { maxRedirects } }).send({ url: new URL(`${server.url}/${from}`), isConfigured: true }, signal);
    expect((await send(8, 1)).status).toBe(404);
    await expect(send(7, 1)).rejects.toThrow(
      expect.objectContaining({ kind: 'redirects', message: expect.stringContaining('more than 1') }),
    );
    await expect(send(0, 0)).rejects.toThrow(/more than 0 times/);
    expect((await send(0, 9)).status).toBe(404);
  });

  test('in a circle are seen at once', async () => {
    const server = await startDiskServer();
    server.answer('/a', (_request, response) => void response.writeHead(302, { location: '/b' }).end());
    server.answer('/b', (_request, response) => void response.writeHead(302, { location: '/a' }).end());
    await expect(openClient().send({ url: new URL(`${server.url}/a`), isConfigured: true }, signal)).rejects.toThrow(
      expect.objectContaining({ kind: 'redirects', message: expect.stringContaining('in a circle') }),
    );
    expect(server.requests).toHaveLength(2);
  });

  test('of a POST are its answer', async () => {
    const server = await startDiskServer();
    server.answer('/', (_request, response) => void response.writeHead(307, { location: '/elsewhere' }).end());
    const answer = await openClient().send({ method: 'POST', url: new URL(server.url), isConfigured: true, body: 'x=secret' }, signal);
    expect([answer.status, server.requests.length]).toEqual([307, 1]);
  });

  test('cannot put lines into a request', async () => {
    const server = await startDiskServer();
    server.answer('/', (_request, response) => void response.writeHead(302, { location: '/%0d%0aX-Evil:%201 \tx' }).end());
    await openClient().send({ url: new URL(server.url), isConfigured: true }, signal);
    expect(server.requests.map(({ path }) => path)).toEqual(['/', '/%0d%0aX-Evil:%201%20x']);
    expect(server.requests[1]?.headers['x-evil']).toBeUndefined();
  });
});

test('one connection serves many requests, and all are closed at the end', async () => {
  const server = await startDiskServer();
  server.answer('/', Buffer.from('x'));
  const client = openClient();
  for (let turn = 0; turn < 5; turn += 1) {
    await readBody(await client.send({ url: new URL(server.url), isConfigured: true }, signal), 10, signal);
    expect(server.connections()).toBe(1);
  }
  client[Symbol.dispose]();
  await waitFor(() => server.connections() === 0, { timeoutMs: 10_000, what: 'end of the connection' });
});

describe('a server that misbehaves', () => {
  async function sendTo(serve: Parameters<typeof startRawServer>[0], transport = {}) {
    const { port } = await startRawServer(serve);
    return openClient({ transport }).send({ url: new URL(`http://127.0.0.1:${port}/`), isConfigured: true }, signal);
  }

  test.each<[string, string, string, boolean]>([
    ['header fields that are too large', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 'answer', false],
    ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', 'answer', false],
    ['a field without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n', 'answer', false],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 'answer', false],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 'answer', false],
  ])('%s', async (_name, text, kind, registryAway) => {
    await expect(sendTo((socket) => void socket.write(text))).rejects.toThrow(expect.objectContaining({ kind, registryAway }));
  });

  test('hangs up', async () => {
    await expect(sendTo((socket) => void socket.once('data', () => socket.destroy()))).rejects.toThrow(
      expect.objectContaining({ kind: 'connection', registryAway: true }),
    );
  });

  test('sends its header fields one byte at a time, for ever', async () => {
    const drip = sendTo(
      (socket) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 200 OK\r\nx: '.at((socket.bytesWritten % 20) - 20) ?? 'x'), 20);
        socket.once('close', () => clearInterval(timer));
      },
      { stallTimeoutMs: 400 },
    );
    await expect(drip).rejects.toThrow(
      expect.objectContaining({ kind: 'stalled', message: expect.stringContaining('no answer within 400 ms') }),
    );
  });

  test('sends early answers for ever', async () => {
    const early = sendTo(
      (socket) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'), 20);
        socket.once('close', () => clearInterval(timer));
      },
      { stallTimeoutMs: 400 },
    );
    await expect(early).rejects.toThrow(expect.objectContaining({ kind: 'stalled' }));
  });

  test('never speaks TLS', async () => {
    const { port, connections } = await startRawServer(() => undefined);
    const client = openClient({ transport: { connectTimeoutMs: 300 } });
    await expect(client.send({ url: new URL(`https://127.0.0.1:${port}/`), isConfigured: true }, signal)).rejects.toThrow(
      expect.objectContaining({ kind: 'connection', registryAway: true, message: expect.stringContaining('no connection within 300 ms') }),
    );
    await waitFor(() => connections() === 0, { timeoutMs: 10_000, what: 'end of the connection' });
  });

  test('whose name never resolves', async () => {
    const client = openClient({ transport: { connectTimeoutMs: 300 }, resolver: () => undefined });
    await expect(client.send({ url: new URL('http://slow.example/'), isConfigured: true }, signal)).rejects.toThrow(
      /no connection within 300 ms/,
    );
  });

  test('answers a small body slowly, or a large one', async () => {
    const server = await startDiskServer();
    server.answer('/slow', (_request, response) => {
      const timer = setInterval(() => response.write('x'), 20);
      response.once('close', () => clearInterval(timer));
    });
    server.answer('/large', Buffer.alloc(1001));
    const client = openClient();
    const read = async (path: string, timeoutMs: number) =>
      readBody(await client.send({ url: new URL(server.url + path), isConfigured: true }, signal), 1000, signal, timeoutMs);
    await expect(read('/slow', 300)).rejects.toThrow(expect.objectContaining({ kind: 'stalled' }));
    await expect(read('/large', 10_000)).rejects.toThrow(expect.objectContaining({ kind: 'too-large' }));
  });
});

test('a signal ends a request wherever it is, with its reason', async () => {
  const server = await startDiskServer();
  server.answer('/silent', () => undefined);
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const pending = openClient().send({ url: new URL(`${server.url}/silent`), isConfigured: true }, controller.signal);
  const outcome = Promise.allSettled([pending]);
  await waitFor(() => server.requests.length === 1, { timeoutMs: 10_000, what: 'request' });
  controller.abort(new Error('gone'));
  expect(await outcome).toEqual([{ status: 'rejected', reason: new Error('gone') }]);
  await waitFor(() => server.connections() === 0, { timeoutMs: 10_000, what: 'end of the connection' });
});
