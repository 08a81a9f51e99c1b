import { constants, createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { DiskFormat } from '../../model/image.ts';
import { isErrno } from '../../lib/errno.ts';
import { VmletError } from '../../model/errors.ts';
import { makeDoor } from '../door/door.ts';
import { readForeignHeader, type ForeignFormat } from '../door/foreign-header.ts';
import { readAtOf } from '../door/read-at.ts';
import { Refusal } from '../failures.ts';
import { unwrapFile } from '../layer/follow.ts';
import type { Digested } from '../layer/follower.ts';
import { isBare, type Wrapping } from '../layer/wrapping.ts';
import { recognise } from './recognise.ts';

/** How a disk can be said to be read. */
export const diskReadings = ['qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'] as const satisfies readonly (DiskFormat | ForeignFormat)[];

/** How a file is judged. Sizes in bytes. */
export interface VerifyOptions {
  /** How the disk's bytes are read; never guessed. */
  readonly format: DiskFormat | ForeignFormat;
  /** Largest file, and largest disk that it unpacks to. */
  readonly maxBytes: number;
  /** Largest disk that a guest may see. */
  readonly maxVirtualBytes: number;
  /** Where what is unpacked lies meanwhile. */
  readonly tempDir: string;
  /** The program that judges disks; default `qemu-img`. */
  readonly qemuImg?: string;
}

/** What a node would say of a file. */
export interface Verdict {
  readonly verdict: 'accepted' | 'refused';
  /** The stable name of the rule that refuses it; see docs/images.md. */
  readonly rule?: string;
  readonly reason?: string;
  /** What was found around the disk. */
  readonly wrapping: Wrapping;
  readonly format: DiskFormat | ForeignFormat;
  readonly virtualSizeBytes?: number;
  /** Of the file as it is. */
  readonly sizeBytes: number;
  /** Of the disk that was in it, as soon as it is known: what `sha256` in `images.sources` wants. */
  readonly digest?: string;
  readonly diskSizeBytes?: number;
}

type Found = Pick<Verdict, 'digest' | 'diskSizeBytes' | 'virtualSizeBytes'>;

/**
 * Judges a local file as a node judges what it pulls: a disk, or a layer with one, also compressed. The file is opened once, so that all that is
 * said is of the same bytes; a layer is unpacked into a directory of its own in `tempDir`, which is gone when this answers or throws. Throws
 * DISK_FULL, the system's error, `PullProblem` where the inspection cannot work, or the signal's reason. Needs root.
 */
export async function verifyDiskFile(path: string, options: VerifyOptions, signal: AbortSignal): Promise<Verdict> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would make us wait
  const stat = await file.stat();
  if (!stat.isFile()) throw new Error(`${path} is not a regular file`);
  const wrapping = await recognise(file, signal);
  const known = { wrapping, format: options.format, sizeBytes: stat.size };
  let found: Found = {};
  try {
    if (stat.size > options.maxBytes)
      throw new Refusal('disk-size', `the file is larger than the ${options.maxBytes} bytes that images.maxBytes allows`);
    const learn = (more: Found): void => void (found = { ...found, ...more });
    await using disk = await diskIn({ file, wrapping, isReadable: (stat.mode & 0o004) !== 0, options, learn }, signal);
    learn({ virtualSizeBytes: await judge(disk.handle, options, signal) });
    return { verdict: 'accepted', ...known, ...found };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { verdict: 'refused', rule: error.rule, reason: error.message, ...known, ...found };
  }
}

interface Unpacking {
  readonly file: FileHandle;
  readonly wrapping: Wrapping;
  /** Whether everybody may read it, as the door's child must. */
  readonly isReadable: boolean;
  readonly options: VerifyOptions;
  /** Told of the disk's digest and size. */
  readonly learn: (found: Found) => void;
}

interface OpenDisk extends AsyncDisposable {
  readonly handle: FileHandle;
}

/** The disk as an open file that everybody may read: the file itself where that will do, else a copy that has no name any more. */
async function diskIn({ file, wrapping, isReadable, options, learn }: Unpacking, signal: AbortSignal): Promise<OpenDisk> {
  const fdPath = `/proc/self/fd/${file.fd}`;
  const dir = await mkdtemp(join(options.tempDir, 'vmletctl-'));
  try {
    const diskFile = join(dir, 'disk');
    const { disk } = await unwrapFile(fdPath, wrapping, { diskFile, maxDiskBytes: options.maxBytes }, signal);
    if (!disk) throw new Refusal('no-disk', 'the layer holds no disk: it must have one file under disk/');
    learn(factsOf(disk));
    if (isBare(wrapping)) {
      if (isReadable) return { handle: file, [Symbol.asyncDispose]: async () => undefined };
      await pipeline(createReadStream(fdPath), createWriteStream(diskFile, { flags: 'wx' }), { signal });
    }
    const handle = await open(diskFile, 'r');
    await handle.chmod(0o644);
    return { handle, [Symbol.asyncDispose]: async () => handle.close() };
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    const path = options.tempDir;
    throw new VmletError({ code: 'DISK_FULL', path }, `no space left in ${path} to unpack the disk: let TMPDIR name another directory`, {
      cause: error,
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function factsOf({ digest, sizeBytes }: Digested): Found {
  return { digest, diskSizeBytes: sizeBytes };
}

/**
 * Answers the size that a guest would see. Of a foreign format only the header is judged, as before a conversion: the disk itself will be judged
 * as what it is converted to.
 */
async function judge(disk: FileHandle, options: VerifyOptions, signal: AbortSignal): Promise<number> {
  const { format, maxBytes, maxVirtualBytes, qemuImg = 'qemu-img' } = options;
  if (format === 'qcow2' || format === 'raw') {
    const user = { uid: 65_534, gid: 65_534 };
    const door = makeDoor({ qemuImg, user, maxFileBytes: maxBytes, maxVirtualBytes, timeoutMs: 60_000 });
    return (await door.inspect(disk, format, signal)).virtualSizeBytes;
  }
  const { size: fileBytes } = await disk.stat();
  return (await readForeignHeader(format, readAtOf(disk), { fileBytes, maxVirtualBytes })).virtualSizeBytes;
}
