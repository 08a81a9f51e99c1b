import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBootDisk } from '../../images/bootsector/sectors.ts';
import { syntheticFileBytes, syntheticHeader } from '../lib/qcow2.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';

const disk = Buffer.from(makeBootDisk('halt'));
const nameOf = (kind: string): string => `bad.example/${kind}:1`;

/** How each image is bad, and what the error must say. */
const bad = {
  missing: /404/,
  loop: /redirect/i,
  short: /bytes|ended|closed/i,
  digest: /sha256|digest/i,
  page: /html|web page/i,
  text: /qcow2/i,
  hostile: /backing/i,
} as const;

describe('images that must not get into the store', () => {
  let node: TestNode;
  let before: readonly string[];
  beforeAll(async () => {
    node = await startNode({
      sources: (server) => {
        const body = (bytes: Buffer, type = 'application/octet-stream', length = bytes.length): Parameters<typeof server.serve>[1] => {
          return (_request, response) => {
            response.writeHead(200, { 'content-type': type, 'content-length': length });
            response.write(bytes, () => (length === bytes.length ? response.end() : response.destroy()));
          };
        };
        const loop = server.serve('loop', (_request, response) => {
          response.writeHead(302, { location: '/loop' }).end();
        });
        const text = Buffer.from('just some text\n'.repeat(5_000));
        return [
          { name: nameOf('missing'), url: `${server.origin}/missing` },
          { name: nameOf('loop'), url: loop },
          { name: nameOf('short'), url: server.serve('short', body(disk.subarray(0, 4_096), undefined, disk.length)), format: 'raw' },
          { name: nameOf('digest'), url: server.serve('digest', body(disk)), format: 'raw', sha256: '0'.repeat(64) },
          { name: nameOf('page'), url: server.serve('page', body(Buffer.from('<!doctype html><p>Please log in</p>'), 'text/html')) },
          { name: nameOf('text'), url: server.serve('text', body(text)) },
          { name: nameOf('hostile'), url: server.serve('hostile', body(qcow2BackedBy('/etc/shadow'))) },
          { name: 'good.example/disk:1', url: server.serve('good', body(disk)), format: 'raw', sha256: sha256(disk) },
        ];
      },
    });
    before = await storedFiles(node);
  });
  afterAll(async () => node.stop());

  const messages = new Map<string, string>();
  it.each(Object.entries(bad))('%s', async (kind, pattern) => {
    const { image } = node.kubelet.client;
    const failure = await failureOf(image.pullImage({ image: { image: nameOf(kind) } }, { timeoutMs: 120_000 }));
    expect(['INVALID_ARGUMENT', 'UNKNOWN']).toContain(failure.code);
    expect(failure.message).toMatch(pattern);
    expect(failure.message).toContain(nameOf(kind));
    messages.set(kind, failure.message.replaceAll(nameOf(kind), ''));
    expect((await image.imageStatus({ image: { image: nameOf(kind) } })).image).toBeUndefined();
    expect((await image.listImages({})).images).toEqual([]);
    expect(await storedFiles(node)).toEqual(before);
  });

  it('each says something of its own', () => {
    expect(messages.size).toBe(Object.keys(bad).length);
    expect(new Set(messages.values()).size).toBe(messages.size);
  });

  it('a server that is away is told apart for the kubelet', async () => {
    const { image } = node.kubelet.client;
    const failure = await failureOf(image.pullImage({ image: { image: nameOf('short') } }, { timeoutMs: 120_000 }));
    expect(failure).toMatchObject({ code: 'UNKNOWN' });
    expect(failure.message).toMatch(/^RegistryUnavailable: /);
  });

  it('a good one of the same server is pulled once for ten who ask, listed, and removed with its file', async () => {
    const { image } = node.kubelet.client;
    const spec = { image: 'good.example/disk:1' };
    const pulled = await Promise.all(Array.from({ length: 10 }, async () => image.pullImage({ image: spec }, { timeoutMs: 60_000 })));
    expect(new Set(pulled.map(({ imageRef }) => imageRef)).size).toBe(1);
    expect(node.images.requests('good')).toBe(1);
    const { images } = await image.listImages({});
    expect(images).toMatchObject([{ id: pulled[0]?.imageRef, repoTags: ['good.example/disk:1'], size: BigInt(disk.length) }]);
    await image.removeImage({ image: { image: images[0]?.id ?? '' } });
    expect((await image.listImages({})).images).toEqual([]);
    expect(await storedFiles(node)).toEqual(before);
  });
});

/** A qcow2 that would show a file of the host to its guest. */
function qcow2BackedBy(path: string): Buffer {
  const bytes = Buffer.alloc(syntheticFileBytes);
  syntheticHeader({ backingOffset: 0x200, backingSize: path.length }).copy(bytes);
  bytes.write(path, 0x200);
  return bytes;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function storedFiles(node: TestNode): Promise<string[]> {
  const entries = await readdir(join(node.stateDir, 'images'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
