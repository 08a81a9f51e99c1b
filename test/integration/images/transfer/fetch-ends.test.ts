import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PullProblem, Refusal } from '../../../../src/images/failures.ts';
import type { ServedCount } from '../../../lib/blob-answer.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';
import { digestOf, fetchInto, httpSource, serve, someBytes, type Observed } from './fetching.ts';

const mebibyte = 2 ** 20;

async function rawServer(answer: (range: string) => string): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (request) => socket.write(answer(/range: bytes=([0-9-]+)/i.exec(request.toString())?.[1] ?? ''), 'latin1'));
    onTestFinished(() => void socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/blob`;
}

/** Nothing goes on after a download has ended. */
async function isOver(seen: Observed, count: ServedCount): Promise<void> {
  expect(seen.followers.every((each) => each.isDisposed())).toBe(true);
  await waitFor(() => count.open === 0, { timeoutMs: 20_000, what: 'end of all answers' });
}

describe('a blob that is too large', () => {
  test.each([
    ['as it says', { etag: '"a"' }, 0],
    ['as it says, given as a whole', { ranges: false }, 0],
    ['without saying so', { ranges: false, announces: false }, mebibyte],
  ])('%s is refused', async (_name, fields, mostBytes) => {
    const { source, count } = await serve({ bytes: someBytes(2 * mebibyte), ...fields });
    const seen = fetchInto(source, { request: { maxBytes: mebibyte } });
    await expect(seen.result).rejects.toMatchObject({
      kind: 'too-large',
      message: expect.stringContaining('images.maxBytes allows (1048576)'),
    });
    expect(seen.bytes().length).toBeLessThanOrEqual(mostBytes);
    await isOver(seen, count);
  });

  test('without an end is refused too', async () => {
    const { source, count } = await serve({
      bytes: Buffer.alloc(0),
      before: (_request, response) => {
        const chunk = Buffer.alloc(65_536, 1);
        const more = (): void => {
          while (!response.destroyed) if (!response.write(chunk)) return void response.once('drain', more);
        };
        more();
        return true;
      },
    });
    const seen = fetchInto(source, { request: { maxBytes: 5 * mebibyte } });
    await expect(seen.result).rejects.toMatchObject({ kind: 'too-large' });
    await isOver(seen, count);
  });
});

describe('a blob of another size than its image says', () => {
  test.each([
    ['more, as it says', { etag: '"a"' }, 1000, 'too-many-bytes'],
    ['fewer, as it says', { etag: '"a"' }, 3 * mebibyte, 'too-few-bytes'],
    ['more, without saying so', { ranges: false, announces: false }, 1000, 'too-many-bytes'],
    ['fewer, without saying so', { ranges: false, announces: false }, 3 * mebibyte, 'too-few-bytes'],
  ])('%s', async (...[, fields, expectedBytes, kind]) => {
    const { source } = await serve({ bytes: someBytes(2 * mebibyte), ...fields });
    const seen = fetchInto(source, { request: { expectedBytes } });
    await expect(seen.result).rejects.toMatchObject({ kind, registryAway: false, message: expect.stringContaining(`${expectedBytes}`) });
    expect(seen.retries).toEqual([]);
    expect(seen.followers.every((each) => each.isDisposed())).toBe(true);
  });

  test('the very size is fine', async () => {
    const bytes = someBytes(2 * mebibyte);
    const { source } = await serve({ bytes, ranges: false, announces: false });
    expect(await fetchInto(source, { request: { expectedBytes: bytes.length } }).result).toMatchObject({ sizeBytes: bytes.length });
  });
});

describe('a server that lies about a range', () => {
  const head = 'HTTP/1.1 206 Partial\r\nETag: "a"\r\n';
  test.each([
    ['another range than was asked for', `${head}Content-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n01234`, 'answer'],
    ['no range', `${head}Content-Length: 5\r\n\r\n01234`, 'answer'],
    ['a range of nothing', `${head}Content-Range: bytes */10\r\nContent-Length: 0\r\n\r\n`, 'answer'],
    ['another length than its range', `${head}Content-Range: bytes 0-4/10\r\nContent-Length: 7\r\n\r\n0123456`, 'answer'],
    [
      'more bytes than its range',
      `${head}Content-Range: bytes 0-4/5\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n0\r\n\r\n`,
      'too-many-bytes',
    ],
    ['a whole that is too large', `${head}Content-Range: bytes 0-4/99999999999999\r\nContent-Length: 5\r\n\r\n01234`, 'too-large'],
  ])('%s', async (...[, answer, kind]) => {
    const seen = fetchInto(httpSource(await rawServer(() => answer)));
    await expect(seen.result).rejects.toMatchObject({ kind, registryAway: false });
  });

  test('of which it never says how long the whole is, is asked for all at once', async () => {
    const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n01234';
    const url = await rawServer((range) => (range === '' ? whole : `${head}Content-Range: bytes 0-4/*\r\nContent-Length: 5\r\n\r\n01234`));
    expect(await fetchInto(httpSource(url)).result).toMatchObject({ sizeBytes: 5 });
  });

  test('that gives nothing again and again is given up', async () => {
    const { source } = await serve({
      bytes: someBytes(2 * mebibyte),
      etag: '"a"',
      before: (_request, response, range) => {
        if (!range || range[0] === 0) return false;
        response.writeHead(206, { etag: '"a"', 'content-range': `bytes ${range[0]}-${range[1] - 1}/${2 * mebibyte}` }).end();
        return true;
      },
    });
    await expect(fetchInto(source).result).rejects.toMatchObject({ kind: 'too-few-bytes', registryAway: true });
  });
});

describe('a download ends at once', () => {
  test('with the follower that finds the blob bad', async () => {
    const { source, count } = await serve({ bytes: someBytes(4 * mebibyte), etag: '"a"', cutEveryBytes: 20_000 });
    const refusal = new Refusal('archive', 'no disk in it');
    const seen = fetchInto(source, { deps: { onRetry: () => seen.followers[0]?.refuse(refusal) } });
    await expect(seen.result).rejects.toBe(refusal);
    await isOver(seen, count);
  });

  test('with the first bytes that cannot be a disk, which come once', async () => {
    const bytes = someBytes(mebibyte);
    const { source, count } = await serve({ bytes, etag: '"a"', cutEveryBytes: 50_000 });
    const beginnings: Uint8Array[] = [];
    const fine = fetchInto(source, { deps: { onBeginning: (beginning) => beginnings.push(Buffer.from(beginning)) } });
    await fine.result;
    expect(beginnings.map((each) => bytes.subarray(0, each.length).equals(each))).toEqual([true]);
    const problem = new PullProblem('web-page', 'a web page');
    const seen = fetchInto(source, {
      deps: {
        onBeginning: () => {
          throw problem;
        },
      },
    });
    await expect(seen.result).rejects.toBe(problem);
    expect(seen.bytes()).toHaveLength(0);
    await isOver(seen, count);
  });

  test('when the disk lacks the room, before anything is written', async () => {
    const { source, count } = await serve({ bytes: someBytes(2 * mebibyte), etag: '"a"' });
    const full = new Error('no room');
    const seen = fetchInto(source, { deps: { reserve: async () => Promise.reject(full) } });
    await expect(seen.result).rejects.toBe(full);
    expect([seen.bytes().length, seen.followers.length]).toEqual([0, 0]);
    await isOver(seen, count);
  });

  test('when the disk is full, as the system says it', async () => {
    const dir = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'vmlet-test', dir]);
    onTestFinished(() => void execFileSync('umount', ['--lazy', dir]));
    const { source, count } = await serve({ bytes: someBytes(9 * mebibyte), etag: '"a"' });
    const seen = fetchInto(source, { dir, request: { segmentBytes: 4 * mebibyte } });
    await expect(seen.result).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(seen.retries).toEqual([]);
    await isOver(seen, count);
  });

  test('when the caller no longer wants it, and keeps nothing unless told to', async () => {
    const { source, count } = await serve({ bytes: someBytes(8 * mebibyte), etag: '"a"', before: slowly() });
    const controller = new AbortController();
    const seen = fetchInto(source, { signal: controller.signal, request: { journalEveryMs: 60_000 } });
    seen.result.catch(() => undefined);
    await waitFor(() => seen.networkBytes() > 0, { timeoutMs: 20_000, what: 'first bytes' });
    controller.abort(new Error('enough'));
    await expect(seen.result).rejects.toThrow('enough');
    expect(seen.files()).toEqual(['c0ffee.part']);
    await isOver(seen, count);
  });

  test('before it begins, when it is not wanted any more', async () => {
    const { source, count } = await serve({ bytes: someBytes(10), etag: '"a"' });
    await expect(fetchInto(source, { signal: AbortSignal.abort(new Error('too late')) }).result).rejects.toThrow('too late');
    expect(count.ranges).toEqual([]);
  });

  test('while it waits to ask again', async () => {
    const { source } = await serve({
      bytes: someBytes(10),
      before: (_request, response) => Boolean(response.writeHead(503, { 'retry-after': '60' }).end()),
    });
    const controller = new AbortController();
    const seen = fetchInto(source, { signal: controller.signal, deps: { onRetry: () => controller.abort(new Error('enough')) } });
    await expect(seen.result).rejects.toThrow('enough');
  });
});

test('a digest that the bytes do not have', async () => {
  const bytes = someBytes(2 * mebibyte);
  const { source, count } = await serve({ bytes, etag: '"a"' });
  const seen = fetchInto(source, { request: { expectedDigest: digestOf(someBytes(1)) } });
  await expect(seen.result).rejects.toMatchObject({ kind: 'digest', registryAway: false });
  expect(count.bodyBytes).toBe(bytes.length);
});

/** Gives a byte of each range and waits. */
function slowly(): NonNullable<Parameters<typeof serve>[0]['before']> {
  return (_request, response, range) => {
    if (!range) return false;
    response.writeHead(206, { etag: '"a"', 'content-range': `bytes ${range[0]}-${range[1] - 1}/${8 * mebibyte}` }).write('x');
    return true;
  };
}
