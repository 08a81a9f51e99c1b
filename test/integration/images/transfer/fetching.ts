import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { makeHttpClient } from '../../../../src/images/http/http-client.ts';
import { httpBlobSource } from '../../../../src/images/http/http-source.ts';
import { plainTransport } from '../../../../src/images/http/transport.ts';
import type { BlobSource } from '../../../../src/images/transfer/blob-source.ts';
import { fetchBlob, type FetchDeps, type FetchedBlob, type FetchRequest } from '../../../../src/images/transfer/fetch-blob.ts';
import { openPartial } from '../../../../src/images/transfer/partial.ts';
import type { RetryNotice } from '../../../../src/images/transfer/retries.ts';
import { blobAnswer, type ServedBlob, type ServedCount } from '../../../lib/blob-answer.ts';
import { startDiskServer, type DiskServer } from '../../../lib/disk-server.ts';
import { followPrefix, type PrefixFollower } from '../../../lib/prefix-follower.ts';
import { tempDir } from '../../../lib/temp.ts';

export const key = 'c0ffee';

/** A digest as the room writes it. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Bytes that are nowhere the same. */
export function someBytes(length: number): Buffer {
  return randomBytes(length);
}

/** A source over HTTP whose connections end with the test. */
export function httpSource(url: string): BlobSource {
  const client = makeHttpClient({ transport: plainTransport, allowedNetworks: [] });
  onTestFinished(() => client[Symbol.dispose]());
  return httpBlobSource(client, { url: new URL(url), isConfigured: true });
}

/** A server that has one blob. */
export async function serve(blob: ServedBlob): Promise<{ server: DiskServer; source: BlobSource; count: ServedCount; blob: ServedBlob }> {
  const server = await startDiskServer();
  const { answer, count } = blobAnswer(blob);
  server.answer('/blob', answer);
  return { server, source: httpSource(`${server.url}/blob`), count, blob };
}

/** What a download did. */
export interface Observed {
  readonly result: Promise<FetchedBlob>;
  readonly dir: string;
  readonly bytes: () => Buffer;
  readonly files: () => readonly string[];
  readonly followers: readonly PrefixFollower[];
  readonly retries: readonly RetryNotice[];
  readonly reserved: readonly number[];
  readonly networkBytes: () => number;
  readonly resumed: () => number;
  readonly progress: () => readonly [number, number | undefined];
}

/** How a test's download differs from the usual one: small segments, short waits. */
export interface FetchFields {
  readonly request?: Partial<FetchRequest>;
  readonly deps?: Partial<FetchDeps>;
  readonly dir?: string;
  readonly signal?: AbortSignal;
}

/** Begins a download into a directory of its own. */
export function fetchInto(
  source: BlobSource,
  { request, deps, dir = tempDir(), signal = AbortSignal.timeout(60_000) }: FetchFields = {},
): Observed {
  const followers: PrefixFollower[] = [];
  const retries: RetryNotice[] = [];
  const reserved: number[] = [];
  let [networkBytes, resumed, progress] = [0, 0, [0, undefined] as readonly [number, number | undefined]];
  async function run(): Promise<FetchedBlob> {
    await using partial = await openPartial(dir, key);
    return await fetchBlob(
      {
        source,
        maxBytes: 2 ** 30,
        stallTimeoutMs: 20_000,
        segmentBytes: 2 ** 18,
        retry: { baseMs: 2, maxMs: 20 },
        ...request,
      },
      {
        partial,
        startFollower: () => {
          const follower = followPrefix(partial.path);
          followers.push(follower);
          return follower;
        },
        reserve: async (bytes) => void reserved.push(bytes),
        onRetry: (notice) => retries.push(notice),
        onBytes: (bytes) => (networkBytes += bytes),
        onResumed: (bytes) => (resumed += bytes),
        onProgress: (...each) => (progress = each),
        ...deps,
      },
      signal,
    );
  }
  return {
    result: run(),
    dir,
    bytes: () => readFileSync(`${dir}/${key}.part`),
    files: () => readdirSync(dir).toSorted(),
    followers,
    retries,
    reserved,
    networkBytes: () => networkBytes,
    resumed: () => resumed,
    progress: () => progress,
  };
}
