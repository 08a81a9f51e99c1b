import type { Transform } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { messageOf } from '../../lib/errno.ts';
import { Refusal } from '../failures.ts';
import { quoted } from '../quoted.ts';
import { makeUnreadable, type Unreadable } from './unreadable.ts';
import { unpackXz } from './unpack-xz.ts';
import type { Compression } from './wrapping.ts';

/** What an unpacking is told. */
export interface UnpackOptions {
  /** Bounds the work of a program that unpacks, bytes. */
  readonly maxUnpackedBytes: number;
}

type Packed = AsyncGenerator<Buffer, undefined>;

/**
 * Unpacks in stream: chunks are valid until the next is asked for. Throws `Refusal` `compression` for what is damaged, cut off, followed by other bytes, or empty.
 */
export function unpack(compression: Compression, packed: Packed, options: UnpackOptions, signal: AbortSignal): AsyncIterable<Buffer> {
  switch (compression) {
    case 'none':
      return packed;
    case 'gzip':
      return inflate(packed, gzip);
    case 'zstd':
      return inflate(packed, zstd);
    case 'xz':
      return unpackXz(packed, options, signal);
  }
}

interface Format {
  readonly name: string;
  readonly make: () => Transform & { readonly bytesWritten: number };
  /** Whether other members may follow a stream's end; else they are the stream's business. */
  readonly isRestarted: boolean;
}

/** Large outputs make few turns through the thread pool; one is unpacked while the last is written. */
const output = { chunkSize: 2 ** 19, readableHighWaterMark: 1 };

/** Goes on with the next member by itself, and ends before bytes of zero that follow (zlib). */
const gzip: Format = { name: 'gzip', make: () => createGunzip(output), isRestarted: false };

/** Windows up to 128 MiB, which is what `zstd -d` takes without being asked, and `zstd --long` and `--ultra` make. */
const zstd: Format = {
  name: 'zstd',
  make: () => createZstdDecompress({ ...output, params: { [constants.ZSTD_d_windowLogMax]: 27 } }),
  isRestarted: true,
};

async function* inflate(packed: Packed, format: Format): AsyncGenerator<Buffer> {
  const source = makeUnreadable(packed);
  let frames = 0;
  do {
    frames += 1;
    // Each frame costs a decoder of its own: 64 GiB of empty ones must not take hours.
    if (frames > 1_024 && source.takenBytes() / frames < 4_096) throw damaged(format, 'it consists of very small frames');
    yield* inflateOne(source, format);
  } while (format.isRestarted && (await source.peek()));
  if (await source.peek()) throw damaged(format, 'other bytes follow its end');
}

async function* inflateOne(source: Unreadable, format: Format): AsyncGenerator<Buffer> {
  const stream = format.make();
  const ended = Promise.withResolvers<void>();
  stream.once('end', ended.resolve).once('close', ended.resolve);
  const fed = feed(stream, source, ended.promise);
  fed.catch((error: unknown) => stream.destroy(error instanceof Error ? error : new Error('feeding failed', { cause: error })));
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      yield chunk;
      release(chunk);
    }
    await fed;
  } catch (error) {
    throw isZlibError(error) ? damaged(format, messageOf(error)) : error;
  } finally {
    stream.destroy();
  }
}

/** Feeds a stream until there is no more or the stream has ended, which leaves the rest to the source. */
async function feed(stream: Transform & { readonly bytesWritten: number }, source: Unreadable, ended: Promise<void>): Promise<void> {
  let fedBytes = 0;
  for (let piece = await source.take(); piece !== undefined; piece = await source.take()) {
    fedBytes += piece.length;
    const consumed = new Promise<void>((resolve, reject) => {
      stream.write(piece, (error) => (error ? reject(error) : resolve()));
    });
    consumed.catch(() => undefined); // the stream tells its reader
    source.prefetch();
    await Promise.race([consumed, ended]);
    const leftBytes = fedBytes - stream.bytesWritten;
    if (leftBytes > 0 || stream.destroyed) {
      source.unread(piece.subarray(piece.length - leftBytes));
      return;
    }
  }
  stream.end();
}

/**
 * Gives an output buffer's memory back, of which the chunk was the last part: else some 30 MiB of them pile up before they are collected. Only a
 * buffer of zlib's output size, which no other has a part of.
 */
function release({ buffer, byteOffset, byteLength }: Buffer): void {
  const isLastPart = buffer.byteLength === output.chunkSize && byteOffset + byteLength === buffer.byteLength;
  if (isLastPart && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Errors of zlib and zstd have codes of their own; want of memory is ours, not the blob's. */
function isZlibError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(Z_|ZSTD_)/.test(code) && !/MEM/i.test(code);
}

function damaged({ name }: Format, says: string): Refusal {
  return new Refusal('compression', `the blob cannot be unpacked with ${name}: ${quoted(says)}`);
}
