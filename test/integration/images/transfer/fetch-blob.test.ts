import { describe, expect, test } from 'vitest';
import { startDiskServer } from '../../../lib/disk-server.ts';
import { waitFor } from '../../../lib/wait.ts';
import { digestOf, fetchInto, httpSource, serve, someBytes } from './fetching.ts';

const noon = 'Mon, 24 Nov 2025 12:00:00 GMT';
const mebibyte = 2 ** 20;

describe('a blob comes whole', () => {
  test.each<[string, object, object, number]>([
    ['in parts, where the server does ranges', { etag: '"a"' }, {}, 13],
    ['in parts that a date ties', { lastModified: noon }, {}, 13],
    ['in parts that a digest ties', {}, { isKnown: true }, 13],
    ['in shorter parts than were asked for', { etag: '"a"', mostBytes: 100_000 }, {}, 37],
    ['over one connection', { etag: '"a"' }, { connections: 1 }, 13],
    ['as one stream, where it does not', { etag: '"a"', ranges: false }, {}, 1],
    ['as one stream without its length', { etag: '"a"', ranges: false, announces: false }, {}, 1],
    ['as one stream, where nothing would tie parts', {}, {}, 2],
    ['as one stream, where the tag is weak', { etag: 'W/"a"' }, {}, 2],
    ['in one part, where it is small', {}, { segmentBytes: 4 * mebibyte }, 1],
  ])('%s', async (_name, served, { isKnown, ...request }: { isKnown?: boolean }, requests) => {
    const bytes = someBytes(3 * mebibyte + 5);
    const { server, source, count } = await serve({ bytes, ...served });
    const seen = fetchInto(source, { request: { ...request, expectedDigest: isKnown ? digestOf(bytes) : undefined } });
    const result = await seen.result;
    const blob = { digest: digestOf(bytes), sizeBytes: bytes.length };
    expect(result).toMatchObject({ kind: 'received', sizeBytes: bytes.length, followed: { blob, disk: blob } });
    expect(seen.bytes().equals(bytes)).toBe(true);
    expect(server.requests).toHaveLength(requests);
    expect(seen.networkBytes()).toBe(bytes.length);
    expect(seen.progress()[0]).toBe(bytes.length);
    expect(seen.retries).toEqual([]);
    expect(seen.followers).toHaveLength(1);
    expect(seen.followers[0]?.isDisposed()).toBe(true);
    expect(count.bodyBytes).toBeGreaterThanOrEqual(bytes.length);
  });

  test.each([true, false])('when it is empty (ranges: %s)', async (ranges) => {
    const { source } = await serve({ bytes: Buffer.alloc(0), etag: '"a"', ranges });
    const seen = fetchInto(source);
    expect(await seen.result).toMatchObject({ kind: 'received', sizeBytes: 0, followed: { blob: { digest: digestOf(Buffer.alloc(0)) } } });
    expect(seen.bytes()).toHaveLength(0);
  });

  test('and answers what the server knows it by, and that it is current', async () => {
    const { source, server } = await serve({ bytes: someBytes(1000), etag: '"a"' });
    expect(await fetchInto(source).result).toMatchObject({ validators: { etag: '"a"' } });
    const seen = fetchInto(source, { request: { unlessCurrent: { etag: '"a"' } } });
    expect(await seen.result).toEqual({ kind: 'unchanged' });
    expect(seen.followers).toEqual([]);
    expect(server.requests.at(-1)?.headers).toMatchObject({ 'if-none-match': '"a"', range: 'bytes=0-262143' });
    const changed = fetchInto(source, { request: { unlessCurrent: { etag: '"b"' } } });
    expect(await changed.result).toMatchObject({ kind: 'received' });
  });

  test('over no more connections than allowed, the beginning first', async () => {
    const bytes = someBytes(4 * mebibyte);
    const { server, source, count } = await serve({ bytes, etag: '"a"' });
    let most = 0;
    const seen = fetchInto(source, { request: { connections: 3 }, deps: { onBytes: () => (most = Math.max(most, server.connections())) } });
    await seen.result;
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
    const begun = count.ranges.map((range) => (range?.[0] ?? 0) / 2 ** 18);
    expect(begun.toSorted((a, b) => a - b)).toEqual(begun.map((_, index) => index));
    expect(begun.every((segment, index) => Math.abs(segment - index) < 3)).toBe(true);
    expect(seen.reserved).toEqual([bytes.length]);
    const told = seen.followers[0]?.told ?? [];
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.length).toBeGreaterThan(2);
  });
});

describe('connections that are cut', () => {
  test.each<[string, object, object]>([
    ['in parts', { etag: '"a"' }, {}],
    ['in parts that a digest ties', {}, { isKnown: true }],
    ['of one connection', { etag: '"a"' }, { connections: 1, segmentBytes: 64 * mebibyte }],
  ])('go on at the very byte: %s', async (_name, served, { isKnown, ...request }: { isKnown?: boolean }) => {
    const bytes = someBytes(4 * mebibyte + 77);
    const { source, count, server } = await serve({ bytes, ...served, cutEveryBytes: 100_001 });
    const seen = fetchInto(source, { request: { ...request, expectedDigest: isKnown ? digestOf(bytes) : undefined } });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.networkBytes()).toBe(bytes.length);
    expect(count.bodyBytes).toBe(bytes.length);
    expect(seen.retries.length).toBeGreaterThanOrEqual(30);
    expect(seen.followers).toHaveLength(1);
    expect(new Set(server.requests.slice(1).map(({ headers }) => headers['if-range']))).toEqual(new Set([isKnown ? undefined : '"a"']));
  });

  test('begin the stream again where the server does no ranges, and what comes twice is not written twice', async () => {
    const bytes = someBytes(mebibyte);
    const blob = { bytes, etag: '"a"', ranges: false, cutEveryBytes: 300_000 };
    const { source } = await serve(blob);
    const seen = fetchInto(source, { deps: { onRetry: () => (blob.cutEveryBytes += 300_000) } });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.networkBytes()).toBe(300_000 + 600_000 + 900_000 + bytes.length);
    expect(seen.followers).toHaveLength(1);
  });

  test('begin from nothing where nothing ties the bytes together, a few times', async () => {
    const bytes = someBytes(mebibyte);
    const blob = { bytes, ranges: false, cutEveryBytes: 300_000 };
    const { source, server } = await serve(blob);
    const seen = fetchInto(source, { deps: { onRetry: () => (blob.cutEveryBytes += 300_000) } });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.followers).toHaveLength(4);
    expect(seen.followers.every((each) => each.isDisposed())).toBe(true);
    expect(server.requests.every(({ headers }) => headers['if-range'] === undefined)).toBe(true);
    blob.cutEveryBytes = 300_000;
    const failing = fetchInto(source);
    await expect(failing.result).rejects.toMatchObject({ kind: 'too-few-bytes', registryAway: true });
    expect(failing.followers).toHaveLength(5);
  });

  test('end the download after five attempts without a byte', async () => {
    const { source, server } = await serve({ bytes: someBytes(1000), etag: '"a"', before: (request) => Boolean(request.socket.destroy()) });
    const seen = fetchInto(source);
    await expect(seen.result).rejects.toMatchObject({ kind: 'connection', registryAway: true });
    expect(server.requests).toHaveLength(5);
  });
});

describe('a server that is busy', () => {
  test('is asked again when it says, and not before', async () => {
    const bytes = someBytes(1000);
    const server = await startDiskServer();
    let asked = 0;
    server.answer('/blob', (_request, response) => {
      asked += 1;
      if (asked < 3) response.writeHead(asked === 1 ? 429 : 503, { 'retry-after': '90' }).end();
      else response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    });
    const waits: number[] = [];
    let now = 0;
    const wait = async (ms: number): Promise<void> => {
      waits.push(ms);
      now += ms;
    };
    const seen = fetchInto(httpSource(`${server.url}/blob`), { deps: { wait, now: () => now } });
    expect(await seen.result).toMatchObject({ kind: 'received' });
    expect(waits).toEqual([90_000, 90_000]);
    expect(seen.retries.map(({ problem }) => problem.retryAfterMs)).toEqual([90_000, 90_000]);
  });

  test('that refuses a second connection gives all over the first', async () => {
    const bytes = someBytes(3 * mebibyte);
    let open = 0;
    const { source } = await serve({
      bytes,
      etag: '"a"',
      before: (_request, response) => {
        if (open > 0) return Boolean(response.writeHead(429).end());
        open += 1;
        response.once('close', () => (open -= 1));
        return false;
      },
    });
    const seen = fetchInto(source);
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.networkBytes()).toBe(bytes.length);
  });

  test('that fails in the middle and comes back costs nothing twice', async () => {
    const bytes = someBytes(2 * mebibyte);
    let requests = 0;
    const { source } = await serve({
      bytes,
      etag: '"a"',
      before: (_request, response) => {
        requests += 1;
        return requests > 3 && requests < 8 && Boolean(response.writeHead(502).end());
      },
    });
    const seen = fetchInto(source);
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.networkBytes()).toBe(bytes.length);
  });

  test('that no longer has the blob ends the download', async () => {
    const { source, count } = await serve({
      bytes: someBytes(2 * mebibyte),
      etag: '"a"',
      before: (_request, response, range) => (range?.[0] ?? 0) > 0 && Boolean(response.writeHead(404).end()),
    });
    const seen = fetchInto(source);
    await expect(seen.result).rejects.toMatchObject({ kind: 'status', registryAway: false });
    await waitFor(() => count.open === 0, { timeoutMs: 20_000, what: 'end of all answers' });
  });
});

describe('a server that stalls', () => {
  test('in a body: the connection is given up and the rest asked for again', async () => {
    const bytes = someBytes(mebibyte);
    let requests = 0;
    const { source } = await serve({
      bytes,
      etag: '"a"',
      before: (_request, response, range) => {
        requests += 1;
        if (requests !== 2 || !range) return false;
        const [from, to] = range;
        response.writeHead(206, { etag: '"a"', 'content-range': `bytes ${from}-${to - 1}/${bytes.length}`, 'content-length': to - from });
        response.write(bytes.subarray(from, from + 1000));
        return true;
      },
    });
    const seen = fetchInto(source, { request: { stallTimeoutMs: 300 } });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(new Set(seen.retries.map(({ problem }) => problem.kind))).toEqual(new Set(['stalled']));
    expect(seen.networkBytes()).toBe(bytes.length);
  });

  test('before its answer, for ever: ends as stalled', async () => {
    const { source } = await serve({ bytes: someBytes(10), before: () => true });
    const seen = fetchInto(source, { request: { stallTimeoutMs: 60 } });
    await expect(seen.result).rejects.toMatchObject({ kind: 'stalled', message: expect.stringContaining('nothing received for 60 ms') });
    expect(seen.retries).toHaveLength(4);
  });

  test('but not our own disk: waiting for room is no stall', async () => {
    const bytes = someBytes(1000);
    const { source } = await serve({ bytes, etag: '"a"' });
    const reserve = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3_000));
    const seen = fetchInto(source, { request: { stallTimeoutMs: 1_500 }, deps: { reserve } });
    expect(await seen.result).toMatchObject({ kind: 'received' });
    expect(seen.retries).toEqual([]);
  });
});

describe('a blob that changes meanwhile', () => {
  const changes: [string, (bytes: Buffer) => object][] = [
    ['its tag', () => ({ etag: '"b"' })],
    ['its size', (bytes) => ({ etag: '"b"', bytes: Buffer.concat([bytes, Buffer.from('more')]) })],
    ['its size, becoming shorter than what was asked for', (bytes) => ({ etag: '"b"', bytes: bytes.subarray(0, 10) })],
    ['its size under the same tag', (bytes) => ({ bytes: Buffer.concat([bytes, Buffer.from('more')]) })],
    ['whether it has a tag', () => ({ etag: undefined })],
    ['whether it comes in parts', () => ({ ranges: false })],
  ];

  test.each(changes)('in %s is begun anew, once', async (_name, change) => {
    const bytes = someBytes(2 * mebibyte);
    const blob = { bytes, etag: '"a"', ranges: true };
    const served = await serve(blob);
    let requests = 0;
    Object.assign(blob, {
      before: () => {
        requests += 1;
        if (requests === 3) Object.assign(blob, change(bytes));
        return false;
      },
    });
    const seen = fetchInto(served.source);
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(blob.bytes) } } });
    expect(seen.bytes().equals(blob.bytes)).toBe(true);
    expect(seen.followers).toHaveLength(2);
    expect(seen.followers[0]?.isDisposed()).toBe(true);
  });

  test('each time it is asked for ends the download', async () => {
    let version = 0;
    const blob = { bytes: someBytes(2 * mebibyte), etag: '"0"' };
    const { source } = await serve(Object.assign(blob, { before: () => Boolean((blob.etag = `"${(version += 1)}"`) === '') }));
    const seen = fetchInto(source);
    await expect(seen.result).rejects.toMatchObject({
      kind: 'answer',
      registryAway: true,
      message: expect.stringContaining('changed while'),
    });
    expect(seen.followers).toHaveLength(2);
  });
});

test('memory does not grow with the blob', async () => {
  const size = 512 * mebibyte;
  const chunk = Buffer.alloc(2 ** 18, 1);
  const server = await startDiskServer();
  server.answer('/blob', (request, response) => {
    const [, from = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    let left = Number(last) + 1 - Number(from);
    response.writeHead(206, { etag: '"a"', 'content-range': `bytes ${from}-${last}/${size}`, 'content-length': left });
    const more = (): void => {
      while (left > 0) {
        const part = chunk.subarray(0, Math.min(left, chunk.length));
        left -= part.length;
        if (!response.write(part)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const onBytes = (): void => void (most = Math.max(most, process.memoryUsage().arrayBuffers));
  const seen = fetchInto(httpSource(`${server.url}/blob`), { request: { segmentBytes: 32 * mebibyte }, deps: { onBytes } });
  expect(await seen.result).toMatchObject({ sizeBytes: size });
  expect((most - before) / mebibyte).toBeLessThan(32);
});
