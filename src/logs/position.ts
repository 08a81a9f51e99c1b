import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { isErrno } from '../lib/errno.ts';

const schema = z.strictObject({
  version: z.literal(1),
  consoleOffset: z.int().min(0),
  logInode: z.string(),
  logSize: z.int().min(0),
  cutBytes: z.int().min(0),
});

/** A point where log and console agree: the log's first `logSize` bytes have the console's first `consoleOffset`. */
export interface Position {
  readonly consoleOffset: number;
  /** Inode number of the log, which a rename keeps; empty when the output is discarded. */
  readonly logInode: string;
  readonly logSize: number;
  /** Bytes of the console before `consoleOffset` that were left out, and that the log has yet to be told of; 0 is none. */
  readonly cutBytes: number;
}

/** Length of the file, always: far more than a position needs, and within one page. */
const recordBytes = 512;

/** Reads a position. A missing file is `undefined`: nothing was ever written; one that is none is `unreadable`. */
export async function readPosition(file: string): Promise<Position | undefined | 'unreadable'> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const { version: _version, ...position } = schema.parse(JSON.parse(text));
    return position;
  } catch {
    return 'unreadable';
  }
}

/**
 * Replaces a position. It is overwritten in place, so that a full disk is no obstacle to freeing what was read; one write within a page
 * is never cut in two by a signal. No fsync: it has to outlive the daemon, whose VMs do not outlive the machine. Throws the system's error.
 */
export async function writePosition(file: string, position: Position): Promise<void> {
  const record = JSON.stringify({ version: 1, ...position }).padEnd(recordBytes);
  try {
    await using handle = await open(file, 'r+');
    await handle.write(record, 0);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    await writeFile(`${file}.new`, record, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}
