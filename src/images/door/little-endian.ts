/** A view of bytes whose numbers have their least significant byte first. Reads beyond the end throw a RangeError: check the length before. */
export interface LittleEndian {
  readonly length: number;
  readonly u8: (at: number) => number;
  readonly u16: (at: number) => number;
  readonly u32: (at: number) => number;
  readonly u64: (at: number) => bigint;
  /** `length` bytes as lower-case hexadecimal digits. */
  readonly hex: (at: number, length: number) => string;
}

/** Views bytes. */
export function littleEndian(bytes: Uint8Array): LittleEndian {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    length: bytes.length,
    u8: (at) => view.getUint8(at),
    u16: (at) => view.getUint16(at, true),
    u32: (at) => view.getUint32(at, true),
    u64: (at) => view.getBigUint64(at, true),
    hex: (at, length) => Buffer.from(bytes.subarray(at, at + length)).toString('hex'),
  };
}
