import { Refusal } from '../failures.ts';
import { quoted } from '../quoted.ts';

/** Tar's unit: headers have this size, contents are padded to it. */
export const tarBlockBytes = 512;

/** What a member is, as far as a layer may hold it; `other` is refused, and `describes` are words about the next member. */
export type TarMemberKind = 'file' | 'directory' | 'pax' | 'pax-global' | 'long-name' | 'long-link' | 'other';

/** A member as its header tells. */
export interface TarHeader {
  /** As it stands there: never a path of ours. Bytes as Latin-1. */
  readonly name: string;
  readonly kind: TarMemberKind;
  /** The kind in words, for messages. */
  readonly says: string;
  /** Bytes of content that follow. */
  readonly sizeBytes: number;
}

const kinds: Readonly<Record<string, readonly [TarMemberKind, string]>> = {
  '\0': ['file', 'a regular file'],
  '0': ['file', 'a regular file'],
  '1': ['other', 'a hard link'],
  '2': ['other', 'a symbolic link'],
  '3': ['other', 'a character device'],
  '4': ['other', 'a block device'],
  '5': ['directory', 'a directory'],
  '6': ['other', 'a fifo'],
  '7': ['other', 'a contiguous file'],
  S: ['other', 'a sparse file'],
  L: ['long-name', 'a long name'],
  K: ['long-link', 'a long link name'],
  x: ['pax', 'an extended header'],
  g: ['pax-global', 'a global extended header'],
};

const nameField = [0, 100] as const;
const sizeField = [124, 136] as const;
const checksumField = [148, 156] as const;
const typeAt = 156;
const magicField = [257, 263] as const;
const prefixField = [345, 500] as const;

/**
 * Reads a header block of 512 bytes; `undefined` for the block of zeros that ends an archive. Understands POSIX ustar, GNU and V7 headers.
 * Throws `Refusal` `tar-header`, `disk-size` for a size beyond 2^53. Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format".
 */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  const sum = checksumOf(block);
  if (sum === emptyChecksum && block.every((byte) => byte === 0)) return undefined;
  if (octal(block, checksumField) !== sum) throw malformed('the checksum of a header is wrong: this is no tar archive, or a damaged one');
  const magic = latin1(block.subarray(...magicField));
  if (!['ustar\0', 'ustar ', '\0\0\0\0\0\0'].includes(magic)) throw malformed('a header is neither POSIX, GNU nor V7');
  const own = text(block, nameField);
  const prefix = magic === 'ustar\0' ? text(block, prefixField) : '';
  const name = prefix === '' ? own : `${prefix}/${own}`;
  const flag = String.fromCodePoint(block[typeAt] ?? 0);
  const [kind, says] = kinds[flag] ?? ['other', `a member of the unknown type ${quoted(flag)}`];
  return { name, kind, says, sizeBytes: sizeOf(block, name) };
}

/** The field's bytes count as spaces while the sum is made: a block of zeros has the sum of these. */
const emptyChecksum = 8 * 0x20;

function checksumOf(block: Uint8Array): number {
  let sum = emptyChecksum;
  for (let at = 0; at < tarBlockBytes; at += 1) {
    if (at < checksumField[0] || at >= checksumField[1]) sum += block[at] ?? 0;
  }
  return sum;
}

function sizeOf(block: Uint8Array, name: string): number {
  const first = block[sizeField[0]] ?? 0;
  if ((first & 0x80) === 0) {
    const size = octal(block, sizeField);
    if (size !== undefined) return size;
    throw malformed(`the size of ${quoted(name)} is no number`);
  }
  if ((first & 0x40) !== 0) throw malformed(`the size of ${quoted(name)} is negative`);
  let size = first & 0x3f;
  for (const byte of block.subarray(sizeField[0] + 1, sizeField[1])) size = size * 256 + byte;
  if (!Number.isSafeInteger(size)) throw new Refusal('disk-size', `the layer's member ${quoted(name)} claims an impossible size`);
  return size;
}

/** Digits between spaces or NULs; nothing at all counts as 0, as all programs read it. `undefined` for what is no number. */
function octal(block: Uint8Array, field: readonly [number, number]): number | undefined {
  const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(latin1(block.subarray(...field)))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8);
}

function text(block: Uint8Array, field: readonly [number, number]): string {
  const bytes = block.subarray(...field);
  const end = bytes.indexOf(0);
  return latin1(end === -1 ? bytes : bytes.subarray(0, end));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function malformed(says: string): Refusal {
  return new Refusal('tar-header', `the layer's tar archive is malformed: ${says}`);
}
