import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeJournal, type Journal } from '../../../../src/images/transfer/journal.ts';
import { sizeOf } from '../../../../src/images/transfer/intervals.ts';
import { tempDir } from '../../../lib/temp.ts';
import { waitFor } from '../../../lib/wait.ts';
import type { ServedBlob } from '../../../lib/blob-answer.ts';
import { digestOf, fetchInto, key, serve, someBytes } from './fetching.ts';

const mebibyte = 2 ** 20;

function journalIn(dir: string): Journal | undefined {
  const file = join(dir, `${key}.json`);
  return existsSync(file) ? decodeJournal(readFileSync(file)) : undefined;
}

function answers(count: number): Pick<ServedBlob, 'before'> {
  let requests = 0;
  return {
    before: (_request, response, range) => {
      requests += 1;
      if (requests <= count || !range) return false;
      response.writeHead(206, { etag: '"a"', 'content-range': `bytes ${range[0]}-${range[1] - 1}/${3 * mebibyte}` }).flushHeaders();
      return true; // and no byte
    },
  };
}

/** Ends a download as a daemon's stop does, when the server gives no more. */
async function stopped(isKnown: boolean): Promise<{ dir: string; bytes: Buffer; served: Awaited<ReturnType<typeof serve>> }> {
  const bytes = someBytes(3 * mebibyte);
  const dir = tempDir();
  const served = await serve({ bytes, etag: '"a"', ...answers(7) });
  const controller = new AbortController();
  const stop = new Error('the daemon stops');
  const seen = fetchInto(served.source, {
    dir,
    signal: controller.signal,
    deps: { keepsPartial: (reason) => reason === stop },
    request: { expectedDigest: isKnown ? digestOf(bytes) : undefined },
  });
  seen.result.catch(() => undefined);
  await waitFor(() => served.count.ranges.length > 7 && seen.networkBytes() === 7 * 2 ** 18, { timeoutMs: 10_000, what: 'seven segments' });
  controller.abort(stop);
  await expect(seen.result).rejects.toBe(stop);
  expect(seen.files()).toEqual([`${key}.json`, `${key}.part`]);
  delete served.blob.before;
  served.count.ranges.length = 0;
  return { dir, bytes, served };
}

describe('a download that a stop ended', () => {
  test.each([false, true])('is taken up where it was (digest known: %s)', async (isKnown) => {
    const { dir, bytes, served } = await stopped(isKnown);
    const journal = journalIn(dir);
    expect(sizeOf(journal?.durable ?? [])).toBe(7 * 2 ** 18);
    const before = served.server.requests.length;
    const seen = fetchInto(served.source, { dir, request: { expectedDigest: isKnown ? digestOf(bytes) : undefined } });
    expect(await seen.result).toMatchObject({ kind: 'received', followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.bytes().equals(bytes)).toBe(true);
    expect([seen.resumed(), seen.networkBytes()]).toEqual([7 * 2 ** 18, 5 * 2 ** 18]);
    expect(seen.reserved).toEqual([5 * 2 ** 18]);
    expect(served.server.requests[before]?.headers.range).toMatch(/^bytes=[1-9]/);
    expect(served.server.requests[before]?.headers['if-range']).toBe(isKnown ? undefined : '"a"');
  });

  test.each<[string, (dir: string, blob: ServedBlob) => void]>([
    ['the server has other bytes now', (_dir, blob) => void Object.assign(blob, { etag: '"b"', bytes: someBytes(3 * mebibyte) })],
    ['the server has fewer bytes now', (_dir, blob) => void Object.assign(blob, { etag: '"b"', bytes: someBytes(3) })],
    ['the server has fewer bytes under the same tag', (_dir, blob) => void Object.assign(blob, { bytes: someBytes(3) })],
    ['the server gives the whole only', (_dir, blob) => void Object.assign(blob, { ranges: false })],
    ['the journal is half', (dir) => writeFileSync(join(dir, `${key}.json`), '{"version":1,')],
    ['the file is shorter than its journal says', (dir) => execFileSync('truncate', ['-s', '1000', join(dir, `${key}.part`)])],
  ])('is begun anew when %s', async (_name, change) => {
    const { dir, served } = await stopped(false);
    change(dir, served.blob);
    const seen = fetchInto(served.source, { dir });
    const { bytes } = served.blob;
    expect(await seen.result).toMatchObject({ kind: 'received', followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.bytes().equals(bytes)).toBe(true);
    expect(seen.networkBytes()).toBe(bytes.length);
    expect(existsSync(join(dir, `${key}.json`))).toBe(false);
  });

  test('is begun anew for another digest, and when its bytes turn out to be others', async () => {
    const { dir, bytes, served } = await stopped(true);
    const part = readFileSync(join(dir, `${key}.part`));
    part[5] = (part[5] ?? 0) ^ 1;
    writeFileSync(join(dir, `${key}.part`), part);
    const seen = fetchInto(served.source, { dir, request: { expectedDigest: digestOf(bytes) } });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.networkBytes()).toBe(5 * 2 ** 18 + bytes.length);
    const other = await stopped(true);
    const wrong = fetchInto(other.served.source, { dir: other.dir, request: { expectedDigest: `sha256:${'0'.repeat(64)}` } });
    await expect(wrong.result).rejects.toMatchObject({
      kind: 'digest',
      registryAway: false,
      message: expect.stringContaining('not sha256:0000'),
    });
    expect([wrong.resumed(), wrong.followers.length]).toEqual([0, 1]);
  });

  test('that was whole asks for one byte, or for nothing where the digest tells', async () => {
    const bytes = someBytes(mebibyte);
    const { source, count } = await serve({ bytes, etag: '"a"' });
    for (const expectedDigest of [undefined, digestOf(bytes)]) {
      const dir = tempDir();
      const keeps = { keepsPartial: () => true };
      const failing = fetchInto(source, { dir, request: { expectedDigest }, deps: { ...keeps, startFollower: failingFollower(dir) } });
      await expect(failing.result).rejects.toThrow('not finished');
      count.ranges.length = 0;
      const seen = fetchInto(source, { dir, request: { expectedDigest } });
      expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
      expect(count.ranges).toEqual(expectedDigest === undefined ? [[mebibyte - 1, mebibyte]] : []);
    }
  });
});

function failingFollower(dir: string): () => ReturnType<typeof fetchInto>['followers'][number] {
  return () => {
    expect(readdirSync(dir)).toEqual([`${key}.part`]);
    return {
      advance: () => undefined,
      finish: async () => Promise.reject(new Error('not finished')),
      failed: new Promise<never>(() => undefined),
      refuse: () => undefined,
      isDisposed: () => true,
      told: [],
      [Symbol.asyncDispose]: async () => undefined,
    };
  };
}

describe('a process that is killed', () => {
  test('loses only what its journal did not claim', async () => {
    const bytes = someBytes(12 * mebibyte);
    const dir = tempDir();
    const { source, server, count } = await serve({ bytes, etag: '"a"' });
    const blob = server.url;
    const slow = { left: 7 * mebibyte };
    server.answer('/slow', (request, response) => {
      const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const part = bytes.subarray(Number(from), Number(last) + 1);
      response.writeHead(206, {
        etag: '"a"',
        'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`,
        'content-length': part.length,
      });
      const given = part.subarray(0, Math.max(0, slow.left));
      slow.left -= given.length;
      if (given.length === part.length) response.end(given);
      else response.write(given);
    });
    const child = spawn(process.execPath, [join(import.meta.dirname, 'download-process.ts'), `${blob}/slow`, dir, key], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const claimed = await waitFor(() => sizeOf(journalIn(dir)?.durable ?? []) >= 6 * mebibyte && journalIn(dir), {
      timeoutMs: 30_000,
      what: 'journal of six mebibytes',
    });
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    const durable = sizeOf((journalIn(dir) ?? claimed).durable);
    const seen = fetchInto(source, { dir });
    expect(await seen.result).toMatchObject({ followed: { blob: { digest: digestOf(bytes) } } });
    expect(seen.bytes().equals(bytes)).toBe(true);
    expect(seen.resumed()).toBe(durable);
    expect(seen.networkBytes()).toBe(bytes.length - durable);
    expect(count.bodyBytes).toBe(bytes.length - durable);
  });
});
