import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import { invalid } from '../model/errors.ts';

/** What a kubelet reads of it. */
const maxBytes = 4_096;

const { O_WRONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Writes a container's termination message into the file that the kubelet made for it, at most 4 KiB. It must be that file: a link, a
 * file with a second name or on another file system, or none at all throws INVALID, since root writes here where others may have been.
 */
export async function writeTerminationMessage(path: string, message: string): Promise<void> {
  const refuse = (why: string): Error => invalid('terminationMessagePath', `${path} ${why}`);
  try {
    await using file = await open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
    const found = await file.stat();
    const { dev } = await stat(dirname(path));
    if (!found.isFile() || found.nlink !== 1 || found.dev !== dev) throw refuse('is not the plain file that the kubelet made');
    await file.truncate(0);
    await file.write(Buffer.from(message).subarray(0, maxBytes), 0, undefined, 0);
  } catch (error) {
    if (isErrno(error, 'ELOOP', 'ENXIO', 'ENOENT', 'EISDIR')) throw refuse(`cannot be written (${error.code})`);
    throw error;
  }
}
