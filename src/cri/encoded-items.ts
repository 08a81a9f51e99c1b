import { create, toBinary, type DescField, type DescMessage, type DescMethod, type MessageInitShape } from '@bufbuild/protobuf';

/** What one message of a stream may carry: well under the 16 MiB that a kubelet takes. */
const maxChunkBytes = 2 ** 20;

/** Items as the answers of a list carry them. */
export interface EncodedItems<T> {
  /** The answer of the unary list. */
  readonly join: (items: readonly T[]) => Uint8Array;
  /** The answers of the stream: each has an item, none is over 1 MiB but for a single larger item. No items, no answer. */
  readonly chunks: (items: readonly T[]) => Iterable<Uint8Array>;
}

/**
 * Encodes each item once and joins the bytes for every list: a kubelet asks each second. Relies on records being replaced, never changed,
 * so that an item's bytes hold as long as the item does. The answer of `method` and of its stream must be a repeated message with the
 * same number, which is checked here.
 */
export function makeEncodedItems<S extends DescMessage, T extends object>(
  methods: readonly DescMethod[],
  schema: S,
  toProto: (item: T) => MessageInitShape<S>,
): EncodedItems<T> {
  const key = keyOf(methods, schema);
  const known = new WeakMap<T, Uint8Array>();

  function encode(item: T): Uint8Array {
    const before = known.get(item);
    if (before) return before;
    const body = toBinary(schema, create(schema, toProto(item)));
    const bytes = Buffer.concat([key, varint(body.length), body]);
    known.set(item, bytes);
    return bytes;
  }

  return {
    join: (items) => Buffer.concat(items.map(encode)),
    *chunks(items) {
      let chunk: Uint8Array[] = [];
      let size = 0;
      for (const item of items) {
        const bytes = encode(item);
        if (chunk.length > 0 && size + bytes.length > maxChunkBytes) {
          yield Buffer.concat(chunk);
          chunk = [];
          size = 0;
        }
        chunk.push(bytes);
        size += bytes.length;
      }
      if (chunk.length > 0) yield Buffer.concat(chunk);
    },
  };
}

/** The key before each item (protobuf encoding, wire type LEN), the same in all answers. */
function keyOf(methods: readonly DescMethod[], schema: DescMessage): Uint8Array {
  const numbers = new Set(methods.map(({ output }) => output.fields.find((field) => carries(field, schema))?.number));
  const [number] = numbers;
  if (numbers.size !== 1 || number === undefined) throw new TypeError(`the answers do not carry ${schema.typeName} under one number`);
  return varint((number << 3) | 2);
}

function carries(field: DescField, schema: DescMessage): boolean {
  return field.fieldKind === 'list' && field.listKind === 'message' && field.message.typeName === schema.typeName;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}
