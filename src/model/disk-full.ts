import { isErrno } from '../lib/errno.ts';
import { VmletError } from './errors.ts';

/** An error that says that `path`'s file system (or its quota) is full or read-only becomes DISK_FULL; any other stays what it is. */
export function toDiskFull(error: unknown, path: string): unknown {
  if (isErrno(error, 'EROFS')) {
    return new VmletError({ code: 'DISK_FULL', path }, `${path} is on a read-only file system; nothing can be kept there`, {
      cause: error,
    });
  }
  if (!isErrno(error, 'ENOSPC', 'EDQUOT')) return error;
  return new VmletError({ code: 'DISK_FULL', path }, `no space left for ${path}; free some on its file system`, { cause: error });
}
