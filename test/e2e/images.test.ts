import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBootDisk } from '../../images/bootsector/sectors.ts';
import { startNode, type TestNode } from '../node/node.ts';

const disk = Buffer.from(makeBootDisk('halt'));
/** Bad ones are in image-failures.test.ts. */
describe('a good image', () => {
  let node: TestNode;
  let before: readonly string[];
  beforeAll(async () => {
    node = await startNode({
      sources: (server) => {
        const url = server.serve('good', (_request, response) => void response.end(disk));
        return [{ name: 'good.example/disk:1', url, format: 'raw', sha256: sha256(disk) }];
      },
    });
    before = await storedFiles(node);
  });
  afterAll(async () => node.stop());

  it('is pulled once for ten who ask, listed, and removed with its file', async () => {
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
