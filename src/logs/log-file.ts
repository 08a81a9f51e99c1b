import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { isErrno, messageOf } from '../lib/errno.ts';
import { invalid } from '../model/errors.ts';

/** An open CRI log. INVARIANT: between calls it ends with a complete entry, or the next call sees to that first. */
export interface LogFile {
  /** A rename keeps it. */
  readonly inode: string;
  /** Size behind the last complete entry, bytes. */
  readonly size: () => number;
  /**
   * Appends entries. When the system refuses (a full disk), `completeBytes` says how many of the bytes that it took are complete
   * entries; what was torn is cut off again.
   */
  readonly append: (entries: Buffer, completeBytes: (written: Buffer) => number) => Promise<Appended>;
  readonly close: () => Promise<void>;
}

/** How far an append got. */
export interface Appended {
  /** Bytes of complete entries. */
  readonly kept: number;
  readonly error?: Error;
}

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens a CRI log for appending; made with mode 0640 when missing. A link, a FIFO or a file with a second name throws INVALID: someone
 * who can write to the log directory must not have root write elsewhere. Else throws the system's error.
 */
export async function openLog(path: string): Promise<LogFile> {
  const handle = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640).catch((error: unknown) => {
    throw isErrno(error, 'ELOOP', 'ENXIO', 'EISDIR') ? invalid('log_path', `${path} must be a plain file: ${messageOf(error)}`) : error;
  });
  try {
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile() || stat.nlink !== 1n) throw invalid('log_path', `${path} must be a plain file with one name`);
    if ((stat.mode & 0o777n) !== 0o640n) await handle.chmod(0o640); // the daemon's umask may have taken the group's bit
    return logFile(handle, { inode: String(stat.ino), startSize: Number(stat.size) });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function logFile(handle: FileHandle, facts: { readonly inode: string; readonly startSize: number }): LogFile {
  let size = facts.startSize;
  let isTorn = false;

  async function mend(): Promise<void> {
    if (isTorn) await handle.truncate(size);
    isTorn = false;
  }

  return {
    inode: facts.inode,
    size: () => size,
    append: async (entries, completeBytes) => {
      await mend();
      size = (await handle.stat()).size; // somebody may have emptied it
      const { written, error } = await writeAll(handle, entries);
      const kept = error === undefined ? written : completeBytes(entries.subarray(0, written));
      isTorn = kept < written;
      size += kept;
      await mend().catch(() => undefined); // the next append tries again
      return error === undefined ? { kept } : { kept, error };
    },
    close: async () => {
      try {
        await mend();
      } finally {
        await handle.close();
      }
    },
  };
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<{ written: number; error?: Error }> {
  let written = 0;
  try {
    while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
    return { written };
  } catch (error) {
    return { written, error: error instanceof Error ? error : new Error(String(error)) };
  }
}
