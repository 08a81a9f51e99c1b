import { expect, test } from 'vitest';
import type { PullHooks } from '../../../src/images/images.ts';
import { hasCode } from '../../../src/model/errors.ts';
import { startDiskServer } from '../../lib/disk-server.ts';
import { openImages } from '../../lib/image-store.ts';
import { newQcow2 } from '../../lib/qcow2.ts';

const signal = AbortSignal.timeout(60_000);

function counting(): {
  readonly hooks: PullHooks;
  readonly seen: { bytes: number; started: number; readonly ends: unknown[]; inspected: number; pending: number };
} {
  const seen = { bytes: 0, started: 0, ends: [] as unknown[], inspected: 0, pending: 0 };
  const hooks: PullHooks = {
    onPullStarted: () => void (seen.started += 1),
    onPullEnded: (error) => void seen.ends.push(error),
    onBytes: (bytes) => void (seen.bytes += bytes),
    onPending: (bytes) => void (seen.pending += bytes),
    onInspected: () => void (seen.inspected += 1),
  };
  return { hooks, seen };
}

test('two pulls of one disk at once are two pulls, one download and one inspection', async () => {
  const server = await startDiskServer();
  const bytes = newQcow2('64M');
  server.answer('/disk', bytes);
  const { hooks, seen } = counting();
  const images = await openImages({ sources: [{ name: 'disk', format: 'qcow2', url: `${server.url}/disk` }] }, { hooks });
  const pulls = [images.pull({ reference: 'disk' }, signal), images.pull({ reference: 'disk' }, signal)];
  expect(seen).toEqual({ bytes: 0, started: 2, ends: [], inspected: 0, pending: 0 });
  await Promise.all(pulls);
  expect(seen).toEqual({ bytes: bytes.length, started: 2, ends: [undefined, undefined], inspected: 1, pending: 0 });
  expect(server.requests).toHaveLength(1);
});

test('a pull that breaks off counts what has come and its error; so does one that nothing was asked for', async () => {
  const server = await startDiskServer();
  const bytes = newQcow2('64M');
  let cut = (): void => undefined;
  server.answer('/disk', (_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, 1_000));
    cut = () => response.destroy();
  });
  const { hooks: plain, seen } = counting();
  const hooks: PullHooks = {
    ...plain,
    onBytes: (count) => {
      plain.onBytes(count);
      cut();
    },
  };
  const images = await openImages({ sources: [{ name: 'disk', format: 'qcow2', url: `${server.url}/disk` }] }, { hooks });
  await expect(images.pull({ reference: 'disk' }, signal)).rejects.toThrow('announced');
  await expect(images.pull({ reference: 'Unknown' }, signal)).rejects.toThrow('Unknown');
  expect([seen.bytes, seen.started, seen.pending]).toEqual([3_000, 2, 0]); // three attempts, each from the beginning: nothing tells the bytes apart
  expect([hasCode(seen.ends[0], 'PULL_FAILED'), hasCode(seen.ends[1], 'INVALID')]).toEqual([true, true]);
});
