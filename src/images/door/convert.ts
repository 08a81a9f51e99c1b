import { open, rm, type FileHandle } from 'node:fs/promises';
import { Refusal } from '../failures.ts';
import { confinedOutput, type ConfinedOptions, type ConfinedResult } from './confined.ts';
import { readForeignHeader, type ForeignFormat } from './foreign-header.ts';
import { endingOf, makeQemuImg, opened, saidBy } from './qemu-img.ts';
import { readAtOf } from './read-at.ts';

/** How disks are converted. */
export interface ConverterOptions {
  /** The program, `qemu-img`. */
  readonly qemuImg: string;
  readonly user: ConfinedOptions['user'];
  /** Largest disk file, bytes: both the one that is read and the one that is written. */
  readonly maxFileBytes: number;
  /** Largest disk that a guest may see, bytes. */
  readonly maxVirtualBytes: number;
  /** Longest conversion, milliseconds; default one hour. */
  readonly timeoutMs?: number;
}

/** A qcow2 disk that a conversion wrote; it has not been through the door. */
export interface Converted {
  /** The new file, open for reading and writing, of mode 0644 and root's. The caller closes it. */
  readonly file: FileHandle;
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
}

/** Turns disks of other formats into qcow2. */
export interface Converter {
  /**
   * Judges an open, readable disk of mode 0644 by its header and writes it as qcow2 into a new file at `path`, in a directory where root alone
   * writes; sparse where the disk is. The result must be inspected like any other qcow2. Throws `Refusal` for what is wrong with the disk,
   * `PullProblem` when conversions cannot work at all, and the system's error when `path` exists or no space is left. No file remains then.
   */
  readonly convert: (disk: FileHandle, format: ForeignFormat, path: string, signal: AbortSignal) => Promise<Converted>;
}

/** Makes the converter: our own reading of the header first, then `qemu-img check` and `convert` in a cell, with nothing to write but the new file. */
export function makeConverter(options: ConverterOptions): Converter {
  const { user, maxFileBytes, maxVirtualBytes, timeoutMs = 3_600_000 } = options;
  const qemuImg = makeQemuImg({ program: options.qemuImg, user });

  async function write(disk: FileHandle, format: ForeignFormat, file: FileHandle, signal: AbortSignal): Promise<void> {
    await using reading = await open(`/proc/self/fd/${disk.fd}`, 'r'); // what converts it gets no way to change it
    const how = { fd: reading.fd, timeoutMs, cpuSeconds: Math.ceil(timeoutMs / 1_000) };
    const check = await qemuImg.run(['check', '--output=json', opened(format)], how, signal);
    if (check.exitCode !== 0) throw new Refusal('qemu-check', `qemu-img check: ${endingOf(check)}${saidBy(check)}`);
    await file.chown(user.uid, user.gid); // QEMU opens its output by name
    const writing = { ...how, outputFd: file.fd, writtenBytes: maxFileBytes };
    const result = await qemuImg.run(['convert', '-O', 'qcow2', opened(format), confinedOutput], writing, signal);
    await file.chown(0, 0);
    await file.chmod(0o644);
    if (result.exitCode !== 0) throw whyNot(result, format);
  }

  return {
    convert: async (disk, format, path, signal) => {
      signal.throwIfAborted();
      const { size: fileBytes } = await disk.stat();
      if (fileBytes > maxFileBytes) throw new Refusal('file-size', `${format}: the file is larger than images.maxBytes allows`);
      const { virtualSizeBytes } = await readForeignHeader(format, readAtOf(disk), { fileBytes, maxVirtualBytes });
      const file = await open(path, 'wx+', 0o600);
      try {
        await write(disk, format, file, signal);
        return { file, sizeBytes: (await file.stat()).size, virtualSizeBytes };
      } catch (error) {
        await file.close();
        await rm(path, { force: true });
        throw error;
      }
    },
  };
}

function whyNot(result: ConfinedResult, format: ForeignFormat): Error {
  if (/No space left on device|Disk quota exceeded/.test(result.stderr)) {
    return Object.assign(new Error('no space left for the converted disk'), { code: 'ENOSPC' });
  }
  if (result.signal === 'SIGXFSZ' || /File too large/.test(result.stderr)) {
    return new Refusal('file-size', `${format}: as qcow2 the file is larger than images.maxBytes allows`);
  }
  return new Refusal('qemu-convert', `qemu-img convert: ${endingOf(result)}${saidBy(result)}`);
}
