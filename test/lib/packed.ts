import { execFileSync } from 'node:child_process';
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib';

/** Packs bytes as users do. */
export const pack = {
  gzip: (bytes: Uint8Array): Buffer => gzipSync(bytes, { level: 1 }),
  zstd: (bytes: Uint8Array): Buffer => zstdCompressSync(bytes),
  xz: (bytes: Uint8Array): Buffer => execFileSync('xz', ['-1', '-c', '--threads=1'], { input: bytes, maxBuffer: 2 ** 30 }),
} as const;

/** A zstd frame that unpacks to `blocks` times 128 KiB of one byte: four bytes make 131072. Source: RFC 8878, 3.1.1. */
export function zstdRepeating(blocks: number, { byte = 0, windowLog = 20 } = {}): Buffer {
  const header = Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3);
  const body = Buffer.alloc(4 * blocks, byte);
  for (let block = 0; block < blocks; block += 1) {
    const isLast = block === blocks - 1 ? 1 : 0;
    body.writeUIntLE((131_072 << 3) | (1 << 1) | isLast, 4 * block, 3);
  }
  return Buffer.concat([header, body]);
}

/** Gzip members that unpack to `mebibytes` of zeros, at deflate's best ratio. */
export function gzipZeros(mebibytes: number): Buffer {
  const part = gzipSync(Buffer.alloc(64 * 2 ** 20), { level: 9 });
  return Buffer.concat(Array.from({ length: mebibytes / 64 }, () => part));
}

/** An xz file whose dictionary has the size of `code` (40: 4 GiB). Source: the .xz file format, 5.3.1. */
export function xzWithDictionary(bytes: Uint8Array, code: number): Buffer {
  const file = Buffer.from(pack.xz(bytes));
  const headerAt = 12;
  const crcAt = headerAt + ((file[headerAt] ?? 0) + 1) * 4 - 4;
  file[file.indexOf(Buffer.of(0x21, 0x01), headerAt) + 2] = code;
  file.writeUInt32LE(crc32(file.subarray(headerAt, crcAt)), crcAt);
  return file;
}
