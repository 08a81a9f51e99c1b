import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bool,
  double,
  hyper,
  int,
  list,
  mapped,
  nothing,
  opaque,
  optional,
  string,
  struct,
  tuple,
  uhyper,
  uint,
} from '../../../src/libvirt/codecs.ts';
import { domain, domainRef, typedParameters, type TypedValue } from '../../../src/libvirt/domain.ts';
import { eventLayouts } from '../../../src/libvirt/events.ts';
import { decodeXdr, encodeXdr, XdrError, type Codec } from '../../../src/libvirt/xdr.ts';

const limit = 1 << 20;
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0') && value.isWellFormed());
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const uuid = fc.uuid();
const typed: fc.Arbitrary<TypedValue> = fc.oneof(
  int32,
  fc.double({ noInteger: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.boolean(),
  text,
);

/** A codec with the values that it must carry. */
interface Case {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly values: fc.Arbitrary<unknown>;
}

function carries<T>(name: string, codec: Codec<T>, values: fc.Arbitrary<T>): Case {
  return { name, codec, values };
}

const cases: readonly Case[] = [
  carries('int', int, int32),
  carries('uint', uint, uint32),
  carries('hyper', hyper, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  carries('uhyper', uhyper, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  carries('double', double, fc.double()),
  carries('bool', bool, fc.boolean()),
  carries('string', string, text),
  carries(
    'opaque',
    opaque(5),
    fc.uint8Array({ minLength: 5, maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
  ),
  carries('optional', optional(string), fc.option(text, { nil: undefined })),
  carries('list', list(string), fc.array(text)),
  carries('tuple', tuple<[string, bigint]>(string, uhyper), fc.tuple(text, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))),
  carries('struct', struct<{ a: number; b: string }>({ a: int, b: string }), fc.record({ a: int32, b: text }, { noNullPrototype: true })),
  carries('mapped', mapped(int, Number, String), int32.map(String)),
  carries('domain', domain, fc.record({ name: text, uuid, id: int32 }, { noNullPrototype: true })),
  carries(
    'typed parameters',
    typedParameters,
    fc.array(fc.tuple(text, typed)).map((entries) => new Map(entries)),
  ),
];

describe.each(cases)('$name', ({ codec, values }) => {
  test('decodes what it encoded, to whole words', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encodeXdr(codec, value, limit);
        expect(bytes.length % 4).toBe(0);
        expect(decodeXdr(codec, bytes)).toEqual(value);
      }),
    );
  });

  test('refuses truncated bytes and bytes left over', () => {
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = encodeXdr(codec, value, limit);
        expect(() => decodeXdr(codec, bytes.subarray(0, cut % bytes.length))).toThrow(XdrError);
        expect(() => decodeXdr(codec, Buffer.concat([bytes, Buffer.alloc(4)]))).toThrow(XdrError);
      }),
    );
  });

  test('answers random bytes with a value or an XdrError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), (bytes) => {
        expect(refusal(codec, Buffer.from(bytes))).toSatisfy(cleanRefusal);
      }),
    );
  });
});

describe.each(Object.entries(eventLayouts))('event %s', (_kind, { codec }) => {
  test('answers random bytes with a value or an XdrError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), (bytes) => {
        expect(refusal(codec, Buffer.from(bytes))).toSatisfy(cleanRefusal);
      }),
    );
  });

  test('is not for sending', () => {
    expect(() => encodeXdr(codec as Codec<unknown>, undefined, limit)).toThrow(TypeError);
  });
});

test('no bytes for nothing', () => {
  expect(encodeXdr(nothing, undefined, limit)).toHaveLength(0);
  expect(decodeXdr(nothing, Buffer.alloc(0))).toBeUndefined();
});

test.each([
  ['int over 31 bits', int, 2 ** 31],
  ['fraction', int, 1.5],
  ['negative uint', uint, -1],
  ['hyper over 63 bits', hyper, 2n ** 63n],
  ['uhyper below 0', uhyper, -1n],
  ['string with a NUL', string, 'a\0b'],
  ['half a surrogate pair', string, '\ud800'],
  ['string over 4 MiB', string, 'x'.repeat(4 * 1024 * 1024 + 1)],
  ['opaque of another length', opaque(2), Buffer.alloc(3)],
  ['list over the bound', list(nothing), Array.from({ length: 262_145 })],
  ['uuid without dashes', domainRef, { name: 'x', uuid: '00000000000000000000000000000000' }],
] as readonly (readonly [string, Codec<unknown>, unknown])[])('refuses to encode: %s', (_name, codec, value) => {
  expect(() => encodeXdr(codec, value, 8 * limit)).toThrow(RangeError);
});

test('refuses to encode more than the bound', () => {
  expect(encodeXdr(string, 'x'.repeat(1020), 1024)).toHaveLength(1024);
  expect(() => encodeXdr(string, 'x'.repeat(1021), 1024)).toThrow('arguments of more than 1024 bytes');
});

test.each([
  ['bool that is 2', bool, '00000002', '2 where 0 or 1 is expected'],
  ['string longer than 4 MiB', string, '00400001', 'string of 4194305 bytes; at most 4194304'],
  ['list of 4 thousand million', list(int), 'ffffffff', 'list of 4294967295; at most 262144'],
  ['padding that is not zero', string, '0000000161000001', 'padding that is not zero'],
  ['unknown typed parameter', typedParameters, '00000001000000017800000000000009', 'typed parameter x of the unknown type 9'],
] as readonly (readonly [string, Codec<unknown>, string, string])[])('refuses to decode: %s', (_name, codec, hex, message) => {
  expect(() => decodeXdr(codec, Buffer.from(hex, 'hex'))).toThrow(message);
});

test('bytes that are not UTF-8 become U+FFFD', () => {
  expect(decodeXdr(string, Buffer.from('00000002ff610000', 'hex'))).toBe('\ufffda');
});

test('a name such as __proto__ is a parameter like any other', () => {
  const values = new Map<string, TypedValue>([['__proto__', 'x']]);
  expect(decodeXdr(typedParameters, encodeXdr(typedParameters, values, limit))).toEqual(values);
});

/** What decoding throws, if anything. */
function refusal(codec: Codec<unknown>, bytes: Buffer): unknown {
  try {
    decodeXdr(codec, bytes);
    return undefined;
  } catch (error) {
    return error;
  }
}

function cleanRefusal(thrown: unknown): boolean {
  return thrown === undefined || thrown instanceof XdrError;
}
