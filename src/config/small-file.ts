import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Reads a text file of at most `maxBytes`. Throws for anything that is no regular file (a FIFO would wait for ever) or larger. */
export function readSmallFile(file: string, maxBytes: number): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(descriptor).isFile()) throw new Error('is not a regular file');
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length <= maxBytes; length += read)
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (length > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}
