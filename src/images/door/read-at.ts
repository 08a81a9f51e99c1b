import type { FileHandle } from 'node:fs/promises';

/** Reads a part of a file: `length` bytes from `offset`, fewer where the file ends, none outside it. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** Reads of an open file. */
export function readAtOf(file: FileHandle): ReadAt {
  return async (offset, length) => {
    const bytes = Buffer.alloc(length);
    let at = 0;
    while (at < length) {
      const { bytesRead } = await file.read(bytes, at, length - at, offset + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes.subarray(0, at);
  };
}
