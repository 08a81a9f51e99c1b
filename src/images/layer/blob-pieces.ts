import { readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { Growth } from './growth.ts';

/** Read at once. Larger pieces leave the processor's cache before they are hashed and unpacked. */
const pieceBytes = 2 ** 18;

/**
 * The blob's bytes in order, as they come to be there, to its end. A piece stays as it is until the next but one is asked for. Reading blocks the
 * thread, which has nothing else to do. Throws the system's error or the signal's reason.
 */
export async function* blobPieces(fd: number, growth: Growth, signal: AbortSignal): AsyncGenerator<Buffer, undefined> {
  const buffers = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)] as const;
  for (let at = 0, odd = false; ; odd = !odd) {
    await growth.until(() => growth.availableBytes() - at >= pieceBytes, signal);
    await turn(); // messages come in here
    signal.throwIfAborted();
    const wanted = Math.min(pieceBytes, (growth.totalBytes() ?? growth.availableBytes()) - at);
    if (wanted <= 0) return undefined;
    const buffer = buffers[odd ? 1 : 0];
    const bytesRead = readSync(fd, buffer, 0, wanted, at);
    if (bytesRead === 0) throw new Error(`the blob's file ends after ${at} bytes, more were said to be there`);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
