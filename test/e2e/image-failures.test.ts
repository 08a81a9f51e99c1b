import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchRegistry } from '../lib/registry-process.ts';
import { makeSigner } from '../lib/signing.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { diskFailures } from './image-failures/by-disk.ts';
import { fullDiskFailures, mountSmallStore, smallStore, withFiles } from './image-failures/by-full-disk.ts';
import { registryFailures } from './image-failures/by-registry.ts';
import { serverFailures } from './image-failures/by-server.ts';
import { beginningOf, parseDocumentedFailures } from './image-failures/documented.ts';
import { makeStaging, sourcesOf, writeFiles, type Stage, type Staging } from './image-failures/staging.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'images.md'), 'utf8');
const documented = parseDocumentedFailures(page);
const anyStore = [serverFailures, registryFailures, ...diskFailures].flatMap((failures) => Object.entries(failures));
const smallOnes = Object.entries(fullDiskFailures);

it('what the page documents is what is tried', () => {
  const tried = [...anyStore, ...smallOnes].map(([failure]) => failure);
  expect(documented.map(({ failure }) => failure).toSorted()).toEqual(tried.toSorted());
  expect(documented.filter(({ text }) => !text.includes('REFERENCE'))).toEqual([]);
});

describe('what a failed pull says', () => {
  let dir: string;
  let registry: Awaited<ReturnType<typeof launchRegistry>>;
  let node: TestNode;
  let at: Staging;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'vmlet-test-'));
    const files = writeFiles(dir, makeSigner());
    registry = await launchRegistry({ dir: join(dir, 'registry') });
    node = await startNode({
      sources: (server) => sourcesOf(files, server),
      config: {
        images: {
          signaturePolicy: files.policyFile,
          urlHosts: ['localhost', 'disks.example'],
          convert: ['vmdk'],
          attempts: 2,
          stallTimeout: '3s', // longer than a busy machine is silent
          maxBytes: '96Mi',
          maxVirtualSize: '1Ti',
          minFree: smallStore.minFree,
        },
      },
    });
    at = makeStaging(node, registry, files);
  });
  afterAll(async () => {
    await node.stop();
    await registry.stop();
    rmSync(dir, { recursive: true });
  });

  /** What happens, and what the page says of it. */
  const tried = async (failure: string, stage: Stage): Promise<{ readonly happened: unknown; readonly documented: unknown }> => {
    const { image } = node.kubelet.client;
    const staged = await stage(at);
    const { reference, auth } = typeof staged === 'string' ? { reference: staged } : staged;
    const before = storedFiles(node);
    const { code, message } = await failureOf(
      image.pullImage({ image: { image: reference }, ...(auth ? { auth } : {}) }, { timeoutMs: 60_000 }),
    );
    expect(message).toContain(reference);
    expect((await image.listImages({})).images).toEqual([]);
    const left = storedFiles(node).filter((file) => !before.includes(file));
    const row = documented.find((each) => each.failure === failure);
    return {
      happened: { code, message, stays: left.join(' ') || 'nothing' },
      documented: { code: row?.code, message: expect.stringMatching(beginningOf(row?.text ?? '', reference)), stays: row?.stays },
    };
  };

  it.each(anyStore)('%s', async (failure, stage) => {
    const { happened, documented: said } = await tried(failure, stage);
    expect(happened).toEqual(said);
  });

  describe('on a disk that is nearly full', () => {
    beforeAll(async () => {
      await node.stopDaemon();
      mountSmallStore(join(node.stateDir, 'images'));
      await node.startDaemon();
    });

    it.each(smallOnes)('%s', async (failure, stage) => {
      const { happened, documented: said } = await tried(failure, stage);
      expect(happened).toEqual(said);
    });

    it('where all its files can be made, a disk is taken', async () => {
      const { image } = node.kubelet.client;
      const { imageRef } = await image.pullImage({ image: { image: withFiles(4)(at) } });
      expect((await image.listImages({})).images).toMatchObject([{ id: imageRef }]);
      await image.removeImage({ image: { image: imageRef } });
    });
  });
});

/** All files of the store. */
function storedFiles(node: TestNode): string[] {
  return readdirSync(join(node.stateDir, 'images'), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
