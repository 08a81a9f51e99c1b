import { constants } from 'node:fs';
import { access, open, rm } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { isErrno } from '../lib/errno.ts';
import { placeFile } from '../lib/place-file.ts';
import type { DiskFormat } from '../model/image.ts';
import { toDiskFull } from '../model/disk-full.ts';
import { invalid, VmletError } from '../model/errors.ts';
import { encodeOverlay, maxBackingPathBytes, maxOverlayBytes } from './qcow2-overlay.ts';

/** The writable disk of a VM on its base image. */
export interface RootDiskRequest {
  /** Where the overlay is made, absolute. */
  readonly path: string;
  readonly base: { readonly path: string; readonly format: DiskFormat; readonly virtualSizeBytes: number };
  /** Size that the guest sees; at least the base's. Default: the base's. */
  readonly sizeBytes?: number;
  readonly uid: number;
  readonly gid: number;
}

const sectorBytes = 512;
const field = 'root disk size';

/** See `Volumes.makeRootDisk`. */
export async function makeRootDisk(request: RootDiskRequest, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { path, base } = request;
  const sizeBytes = overlaySize(request);
  checkPath(base.path);
  const temporary = `${path}.new`;
  try {
    await access(base.path, constants.R_OK);
    await rm(temporary, { force: true });
    await writeOverlay(temporary, request, sizeBytes);
    signal.throwIfAborted();
    await placeFile(temporary, path, request);
    signal.throwIfAborted();
  } catch (error) {
    await rm(temporary, { force: true });
    if (signal.aborted) await rm(path, { force: true });
    throw isErrno(error, 'ENOENT') && error.path === base.path ? baseMissing(base.path) : toDiskFull(error, path);
  }
}

function overlaySize({ base, sizeBytes = base.virtualSizeBytes }: RootDiskRequest): number {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes > maxOverlayBytes) throw invalid(field, `must be at most ${maxOverlayBytes} bytes`);
  if (sizeBytes < base.virtualSizeBytes) {
    const problem = `${sizeBytes} bytes are less than the image's ${base.virtualSizeBytes}; ask for at least ${base.virtualSizeBytes}`;
    throw invalid(field, problem);
  }
  return Math.ceil(sizeBytes / sectorBytes) * sectorBytes; // as qemu-img rounds
}

function checkPath(path: string): void {
  if (isAbsolute(path) && Buffer.byteLength(path) <= maxBackingPathBytes) return;
  throw invalid('base image', `its path must be absolute and at most ${maxBackingPathBytes} bytes long: ${path}`);
}

async function writeOverlay(file: string, { base }: RootDiskRequest, sizeBytes: number): Promise<void> {
  const { head, fileBytes } = encodeOverlay({ backingPath: base.path, backingFormat: base.format, sizeBytes });
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  await using handle = await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  await handle.writeFile(head);
  await handle.truncate(fileBytes);
}

function baseMissing(path: string): VmletError {
  return new VmletError({ code: 'IMAGE_NOT_FOUND', reference: path }, `the base image ${path} is gone from the store; pull it again`);
}
