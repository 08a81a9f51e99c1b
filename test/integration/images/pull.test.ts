import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PullProgress } from '../../../src/images/images.ts';
import type { DiskFormat } from '../../../src/model/image.ts';
import { startDiskServer } from '../../lib/disk-server.ts';
import { foreignDisk } from '../../lib/foreign-disks.ts';
import { filesIn, nothing, openImages } from '../../lib/image-store.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const signal = AbortSignal.timeout(120_000);

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function source(url: string, fields: { name?: string; format?: DiskFormat; sha256?: string } = {}) {
  return { name: 'disk', format: 'qcow2' as const, url, ...fields };
}

describe('a pull', () => {
  test('brings the disk whole into the store, with its names, and tells how far it is', async () => {
    const server = await startDiskServer();
    const bytes = newQcow2('64M');
    server.answer('/disk.qcow2', (_request, response) => void response.setHeader('content-length', bytes.length).end(bytes));
    const told: PullProgress[] = [];
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources: [source(`${server.url}/disk.qcow2`)] }, { onProgress: (each) => told.push(each) });
    const image = await images.pull({ reference: 'disk' }, signal);
    const digest = `sha256:${sha256(bytes)}`;
    const id = `sha256:${sha256(Buffer.from(`vmlet/qcow2/${digest}`))}`;
    expect(image).toEqual({
      id,
      digest,
      format: 'qcow2',
      path: join(storeDir, 'blobs', id.slice(7)),
      sizeBytes: bytes.length,
      allocatedBytes: statSync(image.path).blocks * 512,
      virtualSizeBytes: 64 * 2 ** 20,
      repoTags: ['disk:latest'],
      repoDigests: [`disk@${digest}`],
      pinned: false,
    });
    expect(readFileSync(image.path).equals(bytes)).toBe(true);
    const { mode, uid } = statSync(image.path);
    expect([mode & 0o7777, uid]).toEqual([0o644, 0]);
    expect(['', 'blobs', 'ingest', 'records'].map((dir) => statSync(join(storeDir, dir)).mode & 0o777)).toEqual([
      0o711, 0o711, 0o711, 0o700,
    ]);
    expect(filesIn(storeDir).ingest).toEqual([]);
    expect(told.at(-1)).toEqual({ reference: 'disk', receivedBytes: bytes.length, totalBytes: bytes.length });
    expect(server.requests[0]?.headers['user-agent']).toMatch(/^vmlet\/\d/);
    for (const reference of ['disk', 'disk:latest', `disk@${digest}`, id, id.slice(7), id.slice(7, 20)]) {
      expect(images.find(reference)?.id).toBe(id);
    }
    for (const reference of ['disk:other', 'other', `disk@sha256:${'0'.repeat(64)}`, '0'.repeat(64), id.slice(7, 18)]) {
      expect(images.find(reference)).toBeUndefined();
    }
    expect(() => images.find('Not A Reference')).toThrow(expect.objectContaining({ facts: { code: 'INVALID', field: 'image' } }));
  });

  test('follows redirects and works without an announced length', async () => {
    const server = await startDiskServer();
    const bytes = newQcow2();
    server.answer('/a', (_request, response) => void response.writeHead(302, { location: '/b?x=1' }).end());
    server.answer('/b?x=1', (_request, response) => {
      response.write(bytes.subarray(0, 1000));
      response.end(bytes.subarray(1000));
    });
    const images = await openImages({ sources: [source(`${server.url}/a`)] });
    expect((await images.pull({ reference: 'disk:latest' }, signal)).sizeBytes).toBe(bytes.length);
  });

  test('of a raw disk that begins as a qcow2 keeps it raw for ever', async () => {
    const server = await startDiskServer();
    const bytes = newQcow2('16M');
    const padded = Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
    server.answer('/disk', padded);
    const images = await openImages({
      sources: [source(`${server.url}/disk`, { format: 'raw' }), source(`${server.url}/disk`, { name: 'cow' })],
    });
    const raw = await images.pull({ reference: 'disk' }, signal);
    const cow = await images.pull({ reference: 'cow' }, signal);
    expect([raw.format, raw.virtualSizeBytes]).toEqual(['raw', padded.length]);
    expect([cow.format, cow.virtualSizeBytes]).toEqual(['qcow2', 16 * 2 ** 20]);
    expect(raw.id).not.toBe(cow.id);
    expect(raw.digest).toBe(cow.digest);
    expect(images.list()).toHaveLength(2);
  });

  test('sends the configured credentials to the configured host only', async () => {
    const [server, other] = [await startDiskServer(), await startDiskServer()];
    server.answer('/a', (_request, response) => void response.writeHead(302, { location: `${other.url}/b` }).end());
    other.answer('/b', newQcow2());
    const images = await openImages({ sources: [source(`${server.url}/a`.replace('//', '//user:pw@'))] });
    await images.pull({ reference: 'disk' }, signal);
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:pw').toString('base64')}`);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });
});

describe('a pull again', () => {
  test('asks whether the bytes are current, and moves the name when they are not', async () => {
    const server = await startDiskServer();
    let disk = { etag: '"one"', bytes: newQcow2('16M') };
    server.answer('/disk', (request, response) => {
      response.setHeader('etag', disk.etag);
      if (request.headers['if-none-match'] === disk.etag) response.writeHead(304).end();
      else response.end(disk.bytes);
    });
    const images = await openImages({ sources: [source(`${server.url}/disk`)] });
    const first = await images.pull({ reference: 'disk' }, signal);
    expect((await images.pull({ reference: 'disk' }, signal)).id).toBe(first.id);
    expect(server.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"one"']);
    disk = { etag: '"two"', bytes: newQcow2('32M') };
    const second = await images.pull({ reference: 'disk' }, signal);
    expect(second.id).not.toBe(first.id);
    expect(images.find('disk')?.id).toBe(second.id);
    expect(images.find(first.id)).toMatchObject({ repoTags: [], repoDigests: [`disk@${first.digest}`] });
    await images.remove(second.id, signal);
    expect((await images.pull({ reference: 'disk' }, signal)).id).toBe(second.id);
    expect(server.requests.at(-1)?.headers['if-none-match']).toBeUndefined();
  });

  test('under another name that leads to the same converted disk shows the digest of what was published', async () => {
    const server = await startDiskServer();
    const bytes = foreignDisk('vdi', '');
    server.answer('/disk', (request, response) => {
      response.setHeader('etag', '"one"');
      if (request.headers['if-none-match'] === '"one"') response.writeHead(304).end();
      else response.end(bytes);
    });
    const sources = ['disk', 'twin'].map((name) => ({ name, format: 'vdi' as const, url: `${server.url}/disk` }));
    const images = await openImages({ sources, convert: ['vdi'] });
    await images.pull({ reference: 'disk' }, signal);
    const { repoDigests } = await images.pull({ reference: 'twin' }, signal);
    expect(repoDigests).toEqual(['disk', 'twin'].map((name) => `${name}@sha256:${sha256(bytes)}`));
  });

  test('downloads nothing when the configured digest is in the store', async () => {
    const server = await startDiskServer();
    const bytes = newQcow2();
    server.answer('/disk', bytes);
    const images = await openImages({
      sources: [
        source(`${server.url}/disk`, { sha256: sha256(bytes) }),
        source(`${server.url}/disk`, { name: 'twin', sha256: sha256(bytes) }),
      ],
    });
    const image = await images.pull({ reference: 'disk' }, signal);
    await images.pull({ reference: 'disk' }, signal);
    const twin = await images.pull({ reference: 'twin' }, signal);
    expect(server.requests).toHaveLength(1);
    expect(twin).toMatchObject({ id: image.id, repoTags: ['disk:latest', 'twin:latest'] });
    await images.pull({ reference: `disk@${image.digest}` }, signal);
    expect(server.requests).toHaveLength(1);
  });
});

describe('many callers', () => {
  test('share one download, under several names too, and each may leave alone', async () => {
    const server = await startDiskServer();
    const bytes = newQcow2();
    const gate = Promise.withResolvers<void>();
    server.answer('/disk', (_request, response) => {
      response.write(bytes.subarray(0, 100));
      void gate.promise.then(() => response.end(bytes.subarray(100)));
    });
    const images = await openImages({ sources: [source(`${server.url}/disk`), source(`${server.url}/disk`, { name: 'twin' })] });
    const leaver = new AbortController();
    const left = images.pull({ reference: 'disk' }, leaver.signal);
    const stay = [
      images.pull({ reference: 'disk' }, signal),
      images.pull({ reference: 'disk:latest' }, signal),
      images.pull({ reference: 'twin' }, signal),
    ];
    await waitFor(() => server.requests.length === 1, { timeoutMs: 10_000, what: 'request' });
    leaver.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    gate.resolve();
    const ids = new Set((await Promise.all(stay)).map((image) => image.id));
    expect([ids.size, server.requests.length, images.list().length]).toEqual([1, 1, 1]);
    expect(images.list()[0]?.repoTags).toEqual(['disk:latest', 'twin:latest']);
  });

  test('who have all gone cancel it, and nothing is left', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (_request, response) => void response.write('QFI\xfb'));
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources: [source(`${server.url}/disk`)] });
    const leaver = new AbortController();
    const pulls = [images.pull({ reference: 'disk' }, leaver.signal), images.pull({ reference: 'disk' }, leaver.signal)];
    await waitFor(() => filesIn(storeDir).ingest.length === 1, { timeoutMs: 10_000, what: 'partial file' });
    leaver.abort(new Error('gone'));
    expect((await Promise.allSettled(pulls)).map((each) => each.status)).toEqual(['rejected', 'rejected']);
    await waitFor(() => server.connections() === 0, { timeoutMs: 10_000, what: 'end of the connection' });
    await waitFor(() => filesIn(storeDir).ingest.length === 0, { timeoutMs: 10_000, what: 'clean ingest' });
    expect(filesIn(storeDir)).toEqual(nothing);
  });

  test('are cancelled by close, which answers when nothing is left', async () => {
    const server = await startDiskServer();
    server.answer('/disk', (_request, response) => void response.write('QFI\xfb'));
    const storeDir = join(tempDir(), 'images');
    const images = await openImages({ storeDir, sources: [source(`${server.url}/disk`)] });
    const pull = images.pull({ reference: 'disk' }, signal);
    const outcome = Promise.allSettled([pull]);
    await waitFor(() => filesIn(storeDir).ingest.length === 1, { timeoutMs: 10_000, what: 'partial file' });
    await images.close();
    expect(await outcome).toEqual([
      { status: 'rejected', reason: expect.objectContaining({ message: expect.stringContaining('closing') }) },
    ]);
    expect(filesIn(storeDir)).toEqual(nothing);
  });
});
