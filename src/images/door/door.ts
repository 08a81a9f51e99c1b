import { open, type FileHandle } from 'node:fs/promises';
import type { DiskFormat } from '../../model/image.ts';
import { Refusal } from '../failures.ts';
import type { ConfinedOptions } from './confined.ts';
import { parseQcow2Header, qcow2HeaderBytes, type Qcow2Header } from './qcow2-header.ts';
import { makeEntryJudge } from './qcow2-tables.ts';
import { endingOf, makeQemuImg, opened, saidBy } from './qemu-img.ts';
import { judgeInfo } from './qemu-report.ts';
import { readAtOf, type ReadAt } from './read-at.ts';

/** Raised whenever the door's rules change: images in the store are then judged again. */
export const doorRulesVersion = 2;

/** By which rules and which QEMU a verdict was reached. */
export interface DoorVersions {
  readonly rules: number;
  readonly qemu: string;
}

/** What is known of a disk that passed. */
export interface Passed {
  readonly virtualSizeBytes: number;
  readonly versions: DoorVersions;
}

/** How the door works. */
export interface DoorOptions {
  /** The program, `qemu-img`. */
  readonly qemuImg: string;
  readonly user: ConfinedOptions['user'];
  /** Largest disk file, bytes; default 64 GiB, as `images.maxBytes`. */
  readonly maxFileBytes?: number;
  /** Largest disk that a guest may see, bytes. */
  readonly maxVirtualBytes: number;
  /** Longest run of one qemu-img, milliseconds. */
  readonly timeoutMs: number;
}

/** Where hostile bytes are judged, before any QEMU that matters opens them. */
export interface Door {
  /** Judges an open, readable disk of mode 0644. Throws `Refusal`, or `PullProblem` when the inspection itself cannot work. */
  readonly inspect: (disk: FileHandle, format: DiskFormat, signal: AbortSignal) => Promise<Passed>;
  /** The versions that a verdict would have now. Throws `PullProblem` when qemu-img cannot be run. */
  readonly versions: (signal: AbortSignal) => Promise<DoorVersions>;
}

/** Makes the door: our own reading of the header and the tables first, then `qemu-img info` and `qemu-img check`. */
export function makeDoor(options: DoorOptions): Door {
  const { user, timeoutMs, maxVirtualBytes, maxFileBytes = 64 * 2 ** 30 } = options;
  const qemuImg = makeQemuImg({ program: options.qemuImg, user });

  const versions = async (signal: AbortSignal): Promise<DoorVersions> => ({ rules: doorRulesVersion, qemu: await qemuImg.version(signal) });

  async function judgeByInfo(how: QemuHow, virtualSizeBytes: number, signal: AbortSignal): Promise<void> {
    const info = await qemuImg.run(['info', '--output=json', opened('qcow2')], how, signal);
    if (info.exitCode !== 0) throw new Refusal('qemu-info', `qemu-img info: ${endingOf(info)}${saidBy(info)}`);
    judgeInfo(info.stdout, virtualSizeBytes);
  }

  async function judgeByCheck(how: QemuHow, signal: AbortSignal): Promise<void> {
    const check = await qemuImg.run(['check', '--output=json', opened('qcow2')], how, signal);
    const isSound = check.exitCode === 0 || check.exitCode === leakedClustersOnly;
    if (!isSound) throw new Refusal('qemu-check', `qemu-img check: ${endingOf(check)}${saidBy(check)}`);
  }

  /** Both at once: a sound disk waits for the longer one; of what is found wrong with another, what `info` finds is told. */
  async function judgeByQemu(disk: FileHandle, virtualSizeBytes: number, signal: AbortSignal): Promise<void> {
    await using reading = await open(`/proc/self/fd/${disk.fd}`, 'r'); // what inspects it gets no way to change it
    const how = { timeoutMs, fd: reading.fd };
    const refused = new AbortController();
    const byInfo = judgeByInfo(how, virtualSizeBytes, signal).catch((error: unknown) => {
      refused.abort(error);
      throw error;
    });
    const byCheck = judgeByCheck(how, AbortSignal.any([signal, refused.signal]));
    for (const found of await Promise.allSettled([byInfo, byCheck])) {
      if (found.status === 'rejected') throw found.reason;
    }
  }

  async function inspectQcow2(disk: FileHandle, fileBytes: number, signal: AbortSignal): Promise<number> {
    const readAt = readAtOf(disk);
    const beginning = await readAt(0, Math.min(fileBytes, qcow2HeaderBytes));
    const header = parseQcow2Header(beginning, { fileBytes, maxVirtualBytes });
    await judgeTables(readAt, header, fileBytes, signal);
    await judgeByQemu(disk, header.virtualSizeBytes, signal);
    return header.virtualSizeBytes;
  }

  async function inspect(disk: FileHandle, format: DiskFormat, signal: AbortSignal): Promise<Passed> {
    signal.throwIfAborted();
    const { size } = await disk.stat();
    if (size > maxFileBytes) throw new Refusal('file-size', `${format}: the file is larger than images.maxBytes allows`);
    const virtualSizeBytes = format === 'raw' ? judgeRaw(size, maxVirtualBytes) : await inspectQcow2(disk, size, signal);
    return { virtualSizeBytes, versions: await versions(signal) };
  }

  return { inspect, versions };
}

interface QemuHow {
  readonly timeoutMs: number;
  readonly fd: number;
}

const leakedClustersOnly = 3; // qemu-img(1), check: clusters are lost, the data is sound

const tableChunkBytes = 2 ** 20;

async function judgeTables(readAt: ReadAt, header: Qcow2Header, fileBytes: number, signal: AbortSignal): Promise<void> {
  const tables = [header.refcountTable, header.l1Table];
  const entries = makeEntryJudge(fileBytes, header.clusterBytes, tables);
  for (const table of tables) {
    for (let at = 0; at < table.length; at += tableChunkBytes) {
      signal.throwIfAborted();
      const length = Math.min(tableChunkBytes, table.length - at);
      const chunk = await readAt(table.offset + at, length);
      if (chunk.length < length) throw new Refusal('truncated', 'qcow2: the file ends within a table');
      entries.judge(table, chunk);
    }
  }
}

/** Any bytes are a raw disk, also those of another format: it is opened as raw for ever. */
function judgeRaw(fileBytes: number, maxVirtualBytes: number): number {
  if (fileBytes === 0 || fileBytes % 512 !== 0) throw new Refusal('virtual-size', 'raw: the disk must have whole sectors and at least one');
  if (fileBytes > maxVirtualBytes) throw new Refusal('virtual-size', 'raw: the disk is larger than images.maxVirtualSize allows');
  return fileBytes;
}
