import { constants, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { isErrno, messageOf } from '../../lib/errno.ts';
import { PullProblem } from '../failures.ts';
import { BehindEnd, type BlobBody, type BlobSource, type ByteRange } from './blob-source.ts';
import { closable } from './closable.ts';

const chunkBytes = 2 ** 18;

/**
 * Makes a source of a regular file on the node, which the configuration names; not through a symbolic link at its end, nor a device or pipe. A file that
 * changes while it is read is a `PullProblem`.
 */
export function fileSource(path: string): BlobSource {
  const name = `the file ${path} that the node's configuration names`;

  async function openRegular(): Promise<{ file: FileHandle; stats: BigIntStats }> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const stats = await file.stat({ bigint: true });
      if (stats.isFile()) return { file, stats };
      throw new PullProblem('status', `${name} is no regular file`);
    } catch (error) {
      await file?.close();
      throw error instanceof PullProblem ? error : unreadable(name, error);
    }
  }

  return {
    name,
    open: async ({ range = { from: 0 }, unlessCurrent, ifRange }, signal) => {
      signal.throwIfAborted();
      const { file, stats } = await openRegular();
      const etag = tagOf(stats);
      const totalBytes = Number(stats.size);
      if (unlessCurrent?.etag === etag || (range.from > 0 && range.from >= totalBytes)) {
        await file.close();
        if (unlessCurrent?.etag === etag) return { kind: 'unchanged' };
        throw new BehindEnd(name);
      }
      const isPartial = totalBytes > 0 && (ifRange === undefined || ifRange.etag === etag) && (range.from > 0 || range.to !== undefined);
      const { from, to = totalBytes } = isPartial ? range : { from: 0 };
      const part = { from, to: Math.min(to, totalBytes) };
      const chunks = closable(readPart({ name, file, etag }, part, signal), async () => file.close());
      return { kind: 'body', from, isPartial, totalBytes, validators: { etag }, chunks } satisfies BlobBody;
    },
  };
}

interface OpenFile {
  readonly name: string;
  readonly file: FileHandle;
  readonly etag: string;
}

async function* readPart({ name, file, etag }: OpenFile, part: Required<ByteRange>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const changed = new PullProblem('answer', `${name} changed while it was read`, { registryAway: true });
  try {
    for (let { from: at, to = at } = part; at < to;) {
      signal.throwIfAborted();
      const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, to - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at).catch((error: unknown) => {
        throw unreadable(name, error);
      });
      if (bytesRead === 0) throw changed;
      at += bytesRead;
      if (at === to && tagOf(await file.stat({ bigint: true })) !== etag) throw changed;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** What changes with the file's bytes: inode, size, time of the last write to the nanosecond, and of the last change of the inode, which nobody can set. */
function tagOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `"${[ino, size, mtimeNs, ctimeNs].map((each) => each.toString(36)).join('-')}"`;
}

/** The reader's disk has system errors too: this one must not be taken for it. */
function unreadable(name: string, error: unknown): PullProblem {
  const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
  const what = isErrno(error, 'ELOOP') ? 'is a symbolic link' : `cannot be read (${code})`;
  return new PullProblem('status', `${name} ${what}`, { cause: error });
}
