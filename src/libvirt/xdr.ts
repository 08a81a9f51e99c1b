/** XDR (RFC 4506) as libvirt uses it: big-endian, every item padded to four bytes. Pure; knows no message. */

/** Bytes that are not the expected XDR: truncated, over a bound, wrong padding, an unknown discriminant, left-over bytes. */
export class XdrError extends Error {
  override readonly name = 'XdrError';
}

/** Writes and reads one type. `encode` throws `RangeError` for a value that the type cannot hold; `decode` throws `XdrError`. */
export interface Codec<T> {
  encode(writer: XdrWriter, value: T): void;
  decode(reader: XdrReader): T;
}

/** A growing buffer that refuses to grow over `maxBytes`. */
export interface XdrWriter {
  /** Room for `length` more bytes, zeroed, to be filled by the caller at once. */
  readonly room: (length: number) => Buffer;
  readonly bytes: () => Buffer;
}

/** A cursor over received bytes. */
export interface XdrReader {
  /** The next `length` bytes as a view, not a copy; throws `XdrError` when fewer are left. */
  readonly take: (length: number) => Buffer;
  readonly left: () => number;
}

/** `maxBytes` bounds what is encoded; more throws `RangeError`. */
export function makeXdrWriter(maxBytes: number): XdrWriter {
  let buffer = Buffer.alloc(256);
  let used = 0;
  return {
    room(length) {
      const end = used + length;
      if (end > maxBytes) throw new RangeError(`arguments of more than ${maxBytes} bytes`);
      if (end > buffer.length) {
        const larger = Buffer.alloc(Math.min(maxBytes, Math.max(buffer.length * 2, end)));
        buffer.copy(larger, 0, 0, used);
        buffer = larger;
      }
      const view = buffer.subarray(used, end);
      used = end;
      return view;
    },
    bytes: () => buffer.subarray(0, used),
  };
}

/** Reads `bytes` from the start. */
export function makeXdrReader(bytes: Buffer): XdrReader {
  let offset = 0;
  return {
    take(length) {
      if (length > bytes.length - offset) throw new XdrError(`${length} bytes expected at offset ${offset}, ${bytes.length - offset} left`);
      offset += length;
      return bytes.subarray(offset - length, offset);
    },
    left: () => bytes.length - offset,
  };
}

/** One value as bytes. */
export function encodeXdr<T>(codec: Codec<T>, value: T, maxBytes: number): Buffer {
  const writer = makeXdrWriter(maxBytes);
  codec.encode(writer, value);
  return writer.bytes();
}

/** One value that fills `bytes` to the end; left-over bytes throw `XdrError`. */
export function decodeXdr<T>(codec: Codec<T>, bytes: Buffer): T {
  const reader = makeXdrReader(bytes);
  const value = codec.decode(reader);
  if (reader.left() > 0) throw new XdrError(`${reader.left()} bytes left over`);
  return value;
}
