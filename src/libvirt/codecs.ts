import { XdrError, type Codec, type XdrReader, type XdrWriter } from './xdr.ts';

/** Longest string that libvirt takes or sends, in bytes (REMOTE_STRING_MAX since libvirt 1.2). */
export const maxStringBytes = 4 * 1024 * 1024;
/** Most items of any list that this client reads; libvirt's own bounds per list are lower or equal. */
export const maxListItems = 262_144;

/** Signed, 32 bits. */
export const int: Codec<number> = {
  encode: (writer, value) => void writer.room(4).writeInt32BE(whole(value)),
  decode: (reader) => reader.take(4).readInt32BE(),
};

/** Unsigned, 32 bits; also how `unsigned char` and `unsigned short` travel. */
export const uint: Codec<number> = {
  encode: (writer, value) => void writer.room(4).writeUInt32BE(whole(value)),
  decode: (reader) => reader.take(4).readUInt32BE(),
};

/** Signed, 64 bits. */
export const hyper: Codec<bigint> = {
  encode: (writer, value) => void writer.room(8).writeBigInt64BE(value),
  decode: (reader) => reader.take(8).readBigInt64BE(),
};

/** Unsigned, 64 bits. */
export const uhyper: Codec<bigint> = {
  encode: (writer, value) => void writer.room(8).writeBigUInt64BE(value),
  decode: (reader) => reader.take(8).readBigUInt64BE(),
};

/** IEEE 754, 64 bits. */
export const double: Codec<number> = {
  encode: (writer, value) => void writer.room(8).writeDoubleBE(value),
  decode: (reader) => reader.take(8).readDoubleBE(),
};

/** An int that is 0 or 1. */
export const bool: Codec<boolean> = {
  encode: (writer, value) => int.encode(writer, value ? 1 : 0),
  decode: (reader) => {
    const value = int.decode(reader);
    if (value !== 0 && value !== 1) throw new XdrError(`${value} where 0 or 1 is expected`);
    return value === 1;
  },
};

/**
 * UTF-8, at most `maxStringBytes`. Bytes that are not UTF-8 decode to U+FFFD and do not fail: guests and file names decide about
 * some of them, and they must not be able to close the connection. A NUL cannot be sent, since it would end the string at the other side.
 */
export const string: Codec<string> = {
  encode(writer, value) {
    const length = Buffer.byteLength(value);
    if (length > maxStringBytes) throw new RangeError(`string of ${length} bytes; at most ${maxStringBytes}`);
    if (value.includes('\0') || !value.isWellFormed()) throw new RangeError('string with a NUL or half a surrogate pair');
    uint.encode(writer, length);
    writer.room(length + padding(length)).write(value, 'utf8');
  },
  decode(reader) {
    const length = uint.decode(reader);
    if (length > maxStringBytes) throw new XdrError(`string of ${length} bytes; at most ${maxStringBytes}`);
    const text = reader.take(length).toString('utf8');
    takePadding(reader, length);
    return text;
  },
};

/** Exactly `length` raw bytes. */
export function opaque(length: number): Codec<Buffer> {
  return {
    encode(writer, value) {
      if (value.length !== length) throw new RangeError(`${value.length} bytes where ${length} are expected`);
      writer.room(length + padding(length)).set(value);
    },
    decode(reader) {
      const bytes = Buffer.from(reader.take(length));
      takePadding(reader, length);
      return bytes;
    },
  };
}

/** A value or nothing. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    encode(writer, value) {
      bool.encode(writer, value !== undefined);
      if (value !== undefined) codec.encode(writer, value);
    },
    decode: (reader) => (bool.decode(reader) ? codec.decode(reader) : undefined),
  };
}

/** Any number of items up to `maxListItems`. */
export function list<T>(codec: Codec<T>): Codec<readonly T[]> {
  return {
    encode(writer, values) {
      if (values.length > maxListItems) throw new RangeError(`list of ${values.length}; at most ${maxListItems}`);
      uint.encode(writer, values.length);
      for (const value of values) codec.encode(writer, value);
    },
    decode(reader) {
      const length = uint.decode(reader);
      if (length > maxListItems) throw new XdrError(`list of ${length}; at most ${maxListItems}`);
      const values: T[] = [];
      for (let index = 0; index < length; index += 1) values.push(codec.decode(reader));
      return values;
    },
  };
}

/** Values of different types one after the other. */
export function tuple<A extends readonly unknown[]>(...codecs: { readonly [K in keyof A]: Codec<A[K]> }): Codec<A> {
  return {
    encode: (writer, values) => codecs.forEach((codec: Codec<unknown>, index) => codec.encode(writer, values[index])),
    decode: (reader) => codecs.map((codec: Codec<unknown>) => codec.decode(reader)) as readonly unknown[] as A,
  };
}

/** Named fields, in the order in which they are written down. */
export function struct<T extends object>(fields: { readonly [K in keyof T]-?: Codec<Exclude<T[K], undefined>> | Codec<T[K]> }): Codec<T> {
  const entries = Object.entries(fields) as unknown as readonly (readonly [keyof T, Codec<unknown>])[];
  return {
    encode(writer: XdrWriter, value: T) {
      for (const [name, codec] of entries) codec.encode(writer, value[name]);
    },
    decode: (reader: XdrReader) => Object.fromEntries(entries.map(([name, codec]) => [name, codec.decode(reader)])) as T,
  };
}

/** The same bytes as `codec`, another value: `toWire` before encoding, `fromWire` after decoding. */
export function mapped<W, T>(codec: Codec<W>, toWire: (value: T) => W, fromWire: (wire: W) => T): Codec<T> {
  return { encode: (writer, value) => codec.encode(writer, toWire(value)), decode: (reader) => fromWire(codec.decode(reader)) };
}

/** No bytes at all. */
export const nothing: Codec<void> = { encode() {}, decode() {} };

function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}

function takePadding(reader: XdrReader, length: number): void {
  if (reader.take(padding(length)).some((byte) => byte !== 0)) throw new XdrError('padding that is not zero');
}

/** `writeInt32BE` checks the range, but cuts fractions off. */
function whole(value: number): number {
  if (!Number.isInteger(value)) throw new RangeError(`${value} is not a whole number`);
  return value;
}
