import type { FileHandle } from 'node:fs/promises';
import { messageOf } from '../../lib/errno.ts';
import type { DiskFormat } from '../../model/image.ts';
import { confinedFile, runConfined, type ConfinedOptions, type ConfinedResult } from './confined.ts';
import { PullProblem, Refusal } from '../failures.ts';
import { judgeInfo, parseQemuVersion } from './qemu-report.ts';
import { parseQcow2Header, qcow2HeaderBytes } from './qcow2-header.ts';

/** Raised whenever the door's rules change: images in the store are then judged again. */
export const doorRulesVersion = 1;

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

/** Makes the door: our own reading of the header first, then `qemu-img info`, then `qemu-img check`. */
export function makeDoor(options: DoorOptions): Door {
  const { qemuImg, user, timeoutMs, maxVirtualBytes } = options;

  async function versions(signal: AbortSignal): Promise<DoorVersions> {
    const how = { user, timeoutMs };
    const result = await runConfined([qemuImg, '--version'], how, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new PullProblem('inspection', `disks cannot be inspected: ${messageOf(error)}`, { cause: error });
    });
    const qemu = result.exitCode === 0 ? parseQemuVersion(result.stdout) : undefined;
    if (qemu !== undefined) return { rules: doorRulesVersion, qemu };
    throw new PullProblem(
      'inspection',
      `disks cannot be inspected: ${qemuImg} --version: ${ending(result)}: ${result.stderr.trim().slice(0, 300)}`,
    );
  }

  async function inspectQcow2(disk: FileHandle, fileBytes: number, signal: AbortSignal): Promise<number> {
    const header = parseQcow2Header(await beginningOf(disk, fileBytes), { fileBytes, maxVirtualBytes });
    const how = { user, timeoutMs, fd: disk.fd };
    const info = await runConfined([qemuImg, 'info', '--output=json', asQcow2], how, signal);
    if (info.exitCode !== 0) throw new Refusal('qemu-info', `qemu-img info: ${ending(info)}${said(info)}`);
    judgeInfo(info.stdout, header.virtualSizeBytes);
    const check = await runConfined([qemuImg, 'check', '--output=json', asQcow2], how, signal);
    const isSound = check.exitCode === 0 || check.exitCode === leakedClustersOnly;
    if (!isSound) throw new Refusal('qemu-check', `qemu-img check: ${ending(check)}${said(check)}`);
    return header.virtualSizeBytes;
  }

  async function inspect(disk: FileHandle, format: DiskFormat, signal: AbortSignal): Promise<Passed> {
    // The same confinement as for the disk: if this works, a later failure is the disk's.
    const now = await versions(signal);
    const { size } = await disk.stat();
    const virtualSizeBytes = format === 'raw' ? judgeRaw(size, maxVirtualBytes) : await inspectQcow2(disk, size, signal);
    return { virtualSizeBytes, versions: now };
  }

  return { inspect, versions };
}

/** Format and backing named, so that nothing in the disk decides what is opened. */
const asQcow2 = `json:${JSON.stringify({ driver: 'qcow2', backing: null, file: { driver: 'file', filename: confinedFile } })}`;

const leakedClustersOnly = 3; // qemu-img(1), check: clusters are lost, the data is sound

/** Any bytes are a raw disk, also those of another format: it is opened as raw for ever. */
function judgeRaw(fileBytes: number, maxVirtualBytes: number): number {
  if (fileBytes === 0 || fileBytes % 512 !== 0) throw new Refusal('virtual-size', 'raw: the disk must have whole sectors and at least one');
  if (fileBytes > maxVirtualBytes) throw new Refusal('virtual-size', 'raw: the disk is larger than images.maxVirtualSize allows');
  return fileBytes;
}

async function beginningOf(disk: FileHandle, fileBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(Math.min(fileBytes, qcow2HeaderBytes));
  const { bytesRead } = await disk.read(bytes, 0, bytes.length, 0);
  return bytes.subarray(0, bytesRead);
}

function ending(result: ConfinedResult): string {
  if (result.killed === 'timeout') return 'did not end in time';
  if (result.killed === 'output') return 'said too much';
  return result.signal === null ? `exit status ${result.exitCode}` : `died by ${result.signal}`;
}

/** The end of what it said, in printable characters only: the text may quote the disk. */
function said(result: ConfinedResult): string {
  const text = result.stderr
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(-300);
  return text === '' ? '' : `: ${text}`;
}
