import type { Compression, Wrapping } from '../layer/wrapping.ts';

/** How many of a file's first bytes tell what stands around a disk: one block of tar. */
export const magicBytes = 512;

const compressions: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]], // RFC 1952
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]], // RFC 8878
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]], // the .xz file format, section 2.1.1.1
];
const qcow2 = [0x51, 0x46, 0x49, 0xfb];
const ustar = Buffer.from('ustar'); // at 257: POSIX and GNU tar alike
const ustarAt = 257;

/**
 * What a file's beginning says it is compressed by. Nothing is recognised so when an image is pulled, where media types and configuration say it:
 * this is for a file whose user looks at it himself.
 */
export function compressionOf(beginning: Uint8Array): Compression {
  return compressions.find(([, magic]) => startsWith(beginning, magic))?.[0] ?? 'none';
}

/** Whether bytes, unpacked, begin a tar archive; a qcow2 disk is one whatever else its first sector says. */
export function archiveOf(beginning: Uint8Array): Wrapping['archive'] {
  if (startsWith(beginning, qcow2)) return 'none';
  return ustar.every((byte, at) => beginning[ustarAt + at] === byte) ? 'tar' : 'none';
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, at) => bytes[at] === byte);
}
