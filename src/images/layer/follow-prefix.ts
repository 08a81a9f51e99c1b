import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Refusal } from '../failures.ts';
import { blobPieces } from './blob-pieces.ts';
import { makeBareSink, makeDiskSink, makeLayerSink, type Sink } from './disk-sink.ts';
import type { Followed, FollowRequest } from './follower.ts';
import type { Growth } from './growth.ts';
import { unpack } from './unpack.ts';
import { isBare } from './wrapping.ts';

/**
 * What gzip can express at most is 1032:1, so a disk of nothing but zeros passes; what zstd and xz make smaller still is a disk that nobody
 * needs: as qcow2 it would take some kilobytes.
 */
const defaultMaxRatio = 1_100;
const freeBytes = 64 * 2 ** 20;

/**
 * Follows a blob to its end. Throws what `Follower.failed` tells, or the signal's reason; a disk file that was begun is then gone.
 */
export async function followPrefix(request: FollowRequest, growth: Growth, signal: AbortSignal): Promise<Followed> {
  await using blob = await open(request.blobFile, 'r');
  using ending = abortedAtEnd(signal); // else a read ahead that waits would wake up with a closed file
  const hash = createHash('sha256');
  const pieces = hashed(blobPieces(blob.fd, growth, ending.signal), hash);
  const sink = sinkOf(request);
  try {
    const ratio = makeRatioGate(request.maxRatio ?? defaultMaxRatio, growth);
    for await (const chunk of unpack(request.wrapping.compression, pieces, { maxUnpackedBytes: request.maxDiskBytes }, ending.signal)) {
      await ratio(chunk.length, signal);
      await sink.write(chunk);
    }
    const sizeBytes = growth.totalBytes() ?? 0;
    if (sizeBytes === 0 && request.wrapping.compression !== 'none') throw new Refusal('compression', 'the blob is empty');
    const digested = { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
    return { blob: digested, disk: await sink.finish(digested) };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

function abortedAtEnd(signal: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  return { signal: AbortSignal.any([signal, controller.signal]), [Symbol.dispose]: () => controller.abort() };
}

function sinkOf({ wrapping, diskFile, maxDiskBytes }: FollowRequest): Sink {
  if (isBare(wrapping)) return makeBareSink(maxDiskBytes);
  return wrapping.archive === 'tar'
    ? makeLayerSink({ diskFile, maxDiskBytes })
    : makeDiskSink({ diskFile, maxDiskBytes, isUnpacked: wrapping.compression !== 'none' });
}

async function* hashed(pieces: AsyncGenerator<Buffer, undefined>, hash: Hash): AsyncGenerator<Buffer, undefined> {
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
  return undefined;
}

/**
 * Judges the ratio by the whole blob: an honest disk may begin with much that is empty, so what unpacks to too much for the bytes that are there
 * waits for more of them, and is refused when there are none.
 */
function makeRatioGate(maxRatio: number, growth: Growth): (bytes: number, signal: AbortSignal) => Promise<void> {
  let unpacked = 0;
  const fits = (): boolean => unpacked <= freeBytes + growth.availableBytes() * maxRatio;
  return async (bytes, signal) => {
    unpacked += bytes;
    if (fits()) return;
    await growth.until(fits, signal);
    if (fits()) return;
    throw new Refusal('compression-bomb', `the blob unpacks to more than ${maxRatio} times its size; publish such a disk as qcow2`);
  };
}
