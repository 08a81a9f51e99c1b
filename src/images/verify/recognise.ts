import type { FileHandle } from 'node:fs/promises';
import { readAtOf } from '../door/read-at.ts';
import { PullProblem, Refusal } from '../failures.ts';
import { unpack } from '../layer/unpack.ts';
import type { Compression, Wrapping } from '../layer/wrapping.ts';
import { archiveOf, compressionOf, magicBytes } from './magic.ts';

/** Packed bytes that are read at most to see what is inside. */
const packedBytes = 2 ** 20;
const pieceBytes = 2 ** 16;

/** Tells by its first bytes, unpacked where need be, what stands around the disk in a file. Throws the system's error or the signal's reason. */
export async function recognise(file: FileHandle, signal: AbortSignal): Promise<Wrapping> {
  const beginning = await readAtOf(file)(0, magicBytes);
  const compression = compressionOf(beginning);
  const unpacked = compression === 'none' ? beginning : await unpackedBeginning(file, compression, signal);
  return { compression, archive: archiveOf(unpacked) };
}

/** What cannot be unpacked is no archive here; the unpacking of the whole will say what is wrong. */
async function unpackedBeginning(file: FileHandle, compression: Compression, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of unpack(compression, packedPieces(file), { maxUnpackedBytes: packedBytes }, signal)) {
      chunks.push(Buffer.from(chunk.subarray(0, magicBytes))); // a copy: the chunk may change
      length += chunk.length;
      if (length >= magicBytes) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refusal) && !(error instanceof PullProblem)) throw error;
  }
  return Buffer.concat(chunks);
}

async function* packedPieces(file: FileHandle): AsyncGenerator<Buffer, undefined> {
  const readAt = readAtOf(file);
  for (let at = 0; at < packedBytes; at += pieceBytes) {
    const piece = Buffer.from(await readAt(at, pieceBytes));
    if (piece.length > 0) yield piece;
    if (piece.length < pieceBytes) return undefined;
  }
  return undefined;
}
