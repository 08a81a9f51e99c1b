import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MessageShape } from '@bufbuild/protobuf';
import { makeBootDisk, type BootSectorKind } from '../../images/bootsector/sectors.ts';
import type { ImageSchema } from '../../src/gen/runtime/v1/api_pb.js';
import { removeAllPods } from '../kubelet/kubelet.ts';
import type { CriCallOptions, CriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { gatedDownload } from './gates.ts';
import { requireClean } from './guests.ts';

type Image = MessageShape<typeof ImageSchema>;

const disk = (kind: BootSectorKind): Uint8Array => makeBootDisk(kind);
const digestOf = (kind: BootSectorKind): string => `sha256:${createHash('sha256').update(disk(kind)).digest('hex')}`;

const three = ['a.example/one:1', 'a.example/two:1', 'a.example/three:1'] as const;
const tags = ['a.example/many:1', 'a.example/many:2', 'a.example/many:3'] as const;
const elsewhere = 'b.example:5000/mirror/many:1';
const untagged = 'a.example/untagged';
const pinned = `a.example/one@${digestOf('halt')}`;
const slow = 'a.example/slow:1';

/** critest's groups Image Manager, Image Consistency and Image Identifier Consistency, in our words. */
describe('images', () => {
  let node: TestNode;
  let images: CriClient['image'];
  const download = gatedDownload(disk('panic'));

  beforeAll(async () => {
    node = await startNode({
      sources: (server) => {
        const serve = (kind: BootSectorKind): string => server.serve(kind, (_request, response) => void response.end(disk(kind)));
        return [
          { name: three[0], url: serve('halt'), format: 'raw' },
          { name: three[1], url: serve('acpi'), format: 'raw' },
          { name: three[2], url: serve('off'), format: 'raw' },
          { match: 'a\\.example/many:[0-9]', url: serve('tick'), format: 'raw' },
          { name: elsewhere, url: serve('tick'), format: 'raw' },
          { name: untagged, url: serve('spam'), format: 'raw' },
          { match: 'a\\.example/one', url: serve('halt'), format: 'raw' },
          { name: slow, url: server.serve('slow', download.answer), format: 'raw' },
        ];
      },
    });
    images = node.kubelet.client.image;
  });
  afterEach(async () => {
    download.open();
    await removeAllPods(node.kubelet);
    for (const { id } of await list()) await remove(id);
    await requireClean(node);
  });
  afterAll(async () => node.stop());

  const pull = async (image: string, options?: CriCallOptions): Promise<string> =>
    (await images.pullImage({ image: { image } }, options)).imageRef;
  const remove = async (image: string): Promise<unknown> => images.removeImage({ image: { image } });
  const list = async (): Promise<readonly Image[]> => (await images.listImages({})).images;
  const find = async (image: string): Promise<Image | undefined> => (await images.imageStatus({ image: { image } })).image;
  const listed = async (image: string): Promise<readonly Image[]> => (await images.listImages({ filter: { image: { image } } })).images;

  describe('Image Manager', () => {
    it.each([
      ['with tag', three[0], { repoTags: [three[0]], repoDigests: [pinned] }],
      ['without tag: latest', untagged, { repoTags: [`${untagged}:latest`], repoDigests: [`${untagged}@${digestOf('spam')}`] }],
      ['with digest: no tag', pinned, { repoTags: [], repoDigests: [pinned] }],
    ])('an image %s is pulled, told with its names, and removed', async (_, reference, names) => {
      const id = await pull(reference);
      expect(await find(reference)).toMatchObject({ id, ...names });
      expect(await list()).toMatchObject([{ id, ...names }]);
      await remove(reference);
      expect([await find(reference), await find(id), await list()]).toEqual([undefined, undefined, []]);
    });

    it('the status is the same by id, by each tag and by each digest', async () => {
      const id = await pull(tags[0]);
      for (const reference of [tags[1], elsewhere]) await pull(reference);
      const status = await find(id);
      const references = [...(status?.repoTags ?? []), ...(status?.repoDigests ?? []), id.slice('sha256:'.length)];
      expect(references).toHaveLength(6);
      for (const reference of references) expect(await find(reference)).toEqual(status);
    });

    it('an image has a user and a size', async () => {
      const status = await find(await pull(three[0]));
      expect(status?.uid?.value ?? status?.username).toBeTruthy();
      expect(status?.size).toBe(BigInt(disk('halt').length));
    });

    it('three images are three in the list, and the filter finds each alone', async () => {
      const ids = [];
      for (const reference of three) ids.push(await pull(reference));
      expect(new Set(ids).size).toBe(3);
      expect((await list()).map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
      for (const [index, reference] of three.entries()) expect((await listed(reference)).map(({ id }) => id)).toEqual([ids[index]]);
      expect(await listed('a.example/absent:1')).toEqual([]);
    });

    it('three tags of one image are one image', async () => {
      const ids = new Set<string>();
      for (const reference of tags) ids.add(await pull(reference));
      expect(ids.size).toBe(1);
      expect(await list()).toMatchObject([{ id: [...ids][0], repoTags: tags, repoDigests: [`a.example/many@${digestOf('tick')}`] }]);
    });

    it.each([
      ['a tag', tags[0]],
      ['the id', ''],
      ['the digest', `a.example/many@${digestOf('tick')}`],
    ])('removal by %s removes every name, of another registry too', async (_, reference) => {
      const id = await pull(tags[0]);
      for (const other of [tags[1], elsewhere]) await pull(other);
      await remove(reference || id);
      expect(await list()).toEqual([]);
      for (const name of [tags[0], tags[1], elsewhere, id]) expect(await find(name)).toBeUndefined();
    });
  });

  describe('Image Consistency', () => {
    it('an image is found by nothing from the moment its removal is answered, and by everything from the pull’s answer', async () => {
      for (let round = 0; round < 5; round += 1) {
        const id = await pull(three[0]);
        const [byId, byTag, all] = await Promise.all([find(id), find(three[0]), list()]);
        expect([byId?.id, byTag?.id, ...all.map((image) => image.id)]).toEqual([id, id, id]);
        await remove(id);
        expect(await Promise.all([find(id), find(three[0]), find(pinned), list(), listed(three[0])])).toEqual([
          undefined,
          undefined,
          undefined,
          [],
          [],
        ]);
      }
    });

    it('many removals at once all succeed', async () => {
      const id = await pull(tags[0]);
      await pull(tags[1]);
      const removals = [id, tags[0], tags[1], id, tags[2], id].map(remove);
      expect(await Promise.allSettled(removals)).toEqual(removals.map(() => expect.objectContaining({ status: 'fulfilled' }) as unknown));
      expect(await list()).toEqual([]);
    });

    it('pulls and removals at once leave the image whole or absent', async () => {
      const calls = Array.from({ length: 10 }, async (_, index) => (index % 2 === 0 ? pull(three[0]) : remove(three[0])));
      await Promise.all(calls);
      const [image] = await list();
      expect((await find(three[0]))?.id).toBe(image?.id);
      const stored = readdirSync(join(node.stateDir, 'images', 'blobs'));
      expect(stored.map((file) => `sha256:${file}`)).toEqual(image ? [image.id] : []);
    });
  });

  describe('Image Identifier Consistency', () => {
    it('pull, list, status, container and its status tell the same id', async () => {
      const id = await pull(three[0]);
      const { runtime } = node.kubelet.client;
      const metadata = { name: 'ids', namespace: 'default', uid: 'ids-1' };
      const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata } });
      const config = { metadata: { name: 'vm' }, image: { image: id, userSpecifiedImage: three[0] } };
      const { containerId } = await runtime.createContainer({ podSandboxId, config, sandboxConfig: { metadata } });
      const { containers } = await runtime.listContainers({});
      const { status } = await runtime.containerStatus({ containerId });
      expect((await list()).map((image) => image.id)).toEqual([id]);
      expect([(await find(three[0]))?.id, containers[0]?.imageId, status?.imageId]).toEqual([id, id, id]);
      expect(status?.imageRef).not.toBe('');
      expect(status?.image).toMatchObject({ image: three[0] });
    });

    it('the same disk of two registries has one id', async () => {
      const [ours, theirs] = [await pull(tags[0]), await pull(elsewhere)];
      expect(theirs).toBe(ours);
      expect(await list()).toHaveLength(1);
    });
  });

  describe('pulls at the same time', () => {
    const partial = (): string[] => readdirSync(join(node.stateDir, 'images', 'ingest'));
    const untilDropped = async (): Promise<unknown> =>
      waitFor(() => partial().length === 0, { timeoutMs: 10_000, what: 'end of the download' });
    /** Calls travel in order on one connection: when a later one is answered, those before it have arrived. */
    const arrived = async (): Promise<unknown> => node.kubelet.client.runtime.version({});
    beforeEach(() => download.close());
    afterEach(async () => untilDropped());

    it('one joins the download of another, also when the first caller goes: one request, the same id', async () => {
      const [requests, caller] = [node.images.requests('slow'), new AbortController()];
      const first = failureOf(pull(slow, { signal: caller.signal }));
      await download.reached();
      const others = [pull(slow), pull(slow)];
      await arrived();
      caller.abort();
      expect(await first).toMatchObject({ code: 'CANCELLED' });
      await arrived();
      expect(await list()).toEqual([]);
      download.open();
      const [id, other] = await Promise.all(others);
      expect(other).toBe(id);
      expect(await find(slow)).toMatchObject({ id });
      expect(node.images.requests('slow') - requests).toBe(1);
    });

    it('one whose only caller goes is cancelled, with what it had stored; a retry pulls anew', async () => {
      const [requests, caller] = [node.images.requests('slow'), new AbortController()];
      const first = failureOf(pull(slow, { signal: caller.signal }));
      await download.reached();
      caller.abort();
      expect(await first).toMatchObject({ code: 'CANCELLED' });
      await untilDropped();
      download.open();
      expect(await list()).toEqual([]);
      expect(await find(slow)).toBeUndefined();
      expect(await find(await pull(slow))).toMatchObject({ repoTags: [slow] });
      expect(node.images.requests('slow') - requests).toBe(2);
    });

    it('a caller that goes and asks again at once gets the image', async () => {
      const caller = new AbortController();
      const first = failureOf(pull(slow, { signal: caller.signal }));
      await download.reached();
      caller.abort();
      const retry = pull(slow);
      await first;
      download.open();
      const id = await retry;
      expect(await find(slow)).toMatchObject({ id });
    });

    it('a deadline of 1 ms gives DEADLINE_EXCEEDED and stores nothing; the next pull succeeds', async () => {
      expect(await failureOf(pull(slow, { timeoutMs: 1 }))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      await arrived();
      await untilDropped();
      expect(await list()).toEqual([]);
      download.open();
      expect(await find(await pull(slow))).toMatchObject({ repoTags: [slow] });
    });

    it('a deadline that passes during the download: the same, and a removal meanwhile waits for nothing', async () => {
      let hasPassed = false;
      const late = failureOf(pull(slow, { timeoutMs: 4_000 })).finally(() => (hasPassed = true));
      await download.reached();
      await remove(slow);
      expect(hasPassed).toBe(false);
      expect(await late).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      await untilDropped();
      expect(await list()).toEqual([]);
    });
  });
});
