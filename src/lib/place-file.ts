import { chmod, chown, rename } from 'node:fs/promises';

/** Whom a file belongs to, by number. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Puts a finished file in its place, mode 0600 and owned by `owner`: whoever looks at `path` sees the old file or the new one whole.
 * Throws the system's error. Not synced: for what is made anew after a crash of the machine.
 */
export async function placeFile(temporary: string, path: string, owner: FileOwner): Promise<void> {
  await chmod(temporary, 0o600);
  await chown(temporary, owner.uid, owner.gid);
  await rename(temporary, path);
}
