import type { ReadAt } from '../../src/images/door/read-at.ts';

/** Bytes at their place in a file that is otherwise a hole. */
export interface Part {
  readonly at: number;
  readonly bytes: Buffer;
}

/** A file of which only some parts are given. */
export interface SparseFile {
  readonly fileBytes: number;
  readonly parts: readonly Part[];
}

/** Reads such a file as the door reads a real one: holes are zeros, and there is nothing behind the end. */
export function readSparse({ fileBytes, parts }: SparseFile): ReadAt {
  return async (offset, length) => {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, fileBytes - offset)));
    for (const part of parts) {
      const from = Math.max(offset, part.at);
      const to = Math.min(offset + bytes.length, part.at + part.bytes.length);
      if (from < to) part.bytes.copy(bytes, from - offset, from - part.at, to - part.at);
    }
    return Promise.resolve(bytes);
  };
}
