import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes changes of a directory's entries durable (fsync(2) of the directory). */
export async function syncDirectory(dir: string): Promise<void> {
  await using handle = await open(dir, 'r');
  await handle.sync();
}

/**
 * Replaces a file as a whole: temporary name, write, fsync, rename, fsync of the directory. After a crash the old or the new
 * content is there, never a part. The file has `mode`, whatever the old one had. Throws the system's error (`ENOSPC`, `EROFS`) and then leaves the old file and no temporary one.
 */
export async function writeDurably(file: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${file}.new`;
  try {
    {
      await using handle = await open(temporary, 'w', mode);
      await handle.chmod(mode); // one that a crash left behind keeps its own mode when it is opened
      await handle.writeFile(content);
      await handle.sync();
    }
    await rename(temporary, file);
    await syncDirectory(dirname(file));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Removes a file for good (unlink, fsync of the directory); a missing one is fine. */
export async function removeDurably(file: string): Promise<void> {
  await rm(file, { force: true });
  await syncDirectory(dirname(file));
}
