import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { placeFile } from '../lib/place-file.ts';
import { ProgramError, runProgram } from '../lib/run-program.ts';
import { toDiskFull } from '../model/disk-full.ts';
import { VmletError } from '../model/errors.ts';
import type { DnsConfig, GuestInterface } from '../model/network.ts';
import { seedDocuments } from './documents.ts';

/** What a guest is told by its NoCloud seed. */
export interface SeedRequest {
  /** Where the ISO image is made, absolute. */
  readonly path: string;
  /** cloud-init runs its once-per-instance steps when this changes. */
  readonly instanceId: string;
  readonly hostname: string;
  readonly interfaces: readonly GuestInterface[];
  readonly dns: DnsConfig;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes an ISO 9660 image labelled `cidata` with Joliet and Rock Ridge names, which NoCloud looks for. The documents lie in a directory
 * that root alone can enter, and only while the image is made.
 */
export async function makeSeed(program: string, request: SeedRequest, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const documents = seedDocuments(request);
  const parts = `${request.path}.parts`;
  const image = join(parts, 'seed.iso');
  const sources = join(parts, 'sources');
  try {
    await rm(parts, { recursive: true, force: true });
    await mkdir(parts, { mode: 0o700 });
    await mkdir(sources, { mode: 0o700 });
    for (const [name, content] of Object.entries(documents)) await writeFile(join(sources, name), content, { mode: 0o600, flag: 'wx' });
    await runProgram(program, ['-quiet', '-volid', 'cidata', '-joliet', '-rational-rock', '-output', image, sources], { signal });
    await placeFile(image, request.path, request);
  } catch (error) {
    throw isFull(error) ? diskFull(request.path, error) : toDiskFull(error, request.path);
  } finally {
    await rm(parts, { recursive: true, force: true });
  }
}

function isFull(error: unknown): error is ProgramError {
  return error instanceof ProgramError && /No space left on device|Disk quota exceeded/.test(error.result.stderr);
}

function diskFull(path: string, cause: unknown): VmletError {
  return new VmletError({ code: 'DISK_FULL', path }, `no space left for the seed ${path}`, { cause });
}
