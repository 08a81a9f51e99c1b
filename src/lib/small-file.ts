import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** Not waiting for the other end of a FIFO. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK;

/** Reads a file of at most `maxBytes`, whatever size it claims. Throws the system's error, and for what is no regular file (a FIFO would wait for ever) or larger. */
export async function readSmallFile(file: string, maxBytes: number): Promise<Buffer> {
  await using handle = await open(file, flags);
  requireRegular((await handle.stat()).isFile());
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length <= maxBytes; length += read)
    read = (await handle.read(buffer, length, buffer.length - length, null)).bytesRead;
  return within(buffer, length, maxBytes);
}

/** As `readSmallFile`, for what is read before anything is served. */
export function readSmallFileSync(file: string, maxBytes: number): Buffer {
  const descriptor = openSync(file, flags);
  try {
    requireRegular(fstatSync(descriptor).isFile());
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length <= maxBytes; length += read)
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    return within(buffer, length, maxBytes);
  } finally {
    closeSync(descriptor);
  }
}

function requireRegular(isFile: boolean): void {
  if (!isFile) throw new Error('is not a regular file');
}

function within(buffer: Buffer, length: number, maxBytes: number): Buffer {
  if (length > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
  return buffer.subarray(0, length);
}
