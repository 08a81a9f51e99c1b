import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { maxBackingPathBytes } from './qcow2-overlay.ts';

const magic = 0x514649fb; // "QFI\xfb"

/**
 * The path that an overlay's header names as its backing file (QEMU's docs/interop/qcow2.txt), or `undefined` for none. Its VM can have
 * written anything there: good for a comparison, never to be opened.
 */
export async function baseOf(overlay: string): Promise<string | undefined> {
  await using file = await open(overlay, constants.O_RDONLY | constants.O_NOFOLLOW);
  const header = Buffer.alloc(20);
  const { bytesRead } = await file.read(header, 0, header.length, 0);
  if (bytesRead < header.length || header.readUInt32BE(0) !== magic) return undefined;
  const offset = Number(header.readBigUInt64BE(8));
  const length = header.readUInt32BE(16);
  if (offset === 0 || !Number.isSafeInteger(offset) || length > maxBackingPathBytes) return undefined;
  const name = Buffer.alloc(length);
  const read = await file.read(name, 0, length, offset);
  return read.bytesRead === length ? name.toString('utf8') : undefined;
}
