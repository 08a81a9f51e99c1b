import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LibvirtProtocolError } from '../../../src/libvirt/errors.ts';
import { encodeFrame, makeFrameSplitter, type Frame } from '../../../src/libvirt/frame.ts';

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const frame: fc.Arbitrary<Frame> = fc.record(
  {
    program: word,
    procedure: word,
    type: word,
    serial: word,
    status: word,
    payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

test('frames come out as they went in, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map((one) => encodeFrame(one, one.payload)));
      const splitter = makeFrameSplitter(1024);
      const got: Frame[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
        const next = at + (cuts[turn % cuts.length] ?? 1);
        got.push(...splitter.push(bytes.subarray(at, next)));
        at = next;
      }
      expect(got).toEqual(frames);
    }),
  );
});

test('random bytes give frames or a protocol error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (chunks) => {
      expect(refusal(chunks)).toSatisfy(cleanRefusal);
    }),
  );
});

test.each([
  ['a length below the header', '0000001b', 'frame of 27 bytes; its header alone has 28'],
  ['a length over the bound, before the rest has come', '7fffffff', 'frame of 2147483647 bytes; at most 4096 are allowed'],
  ['another version', '0000001c2000808600000002000000010000000100000001' + '00000000', 'frame of protocol version 2'],
])('refuses %s', (_name, hex, message) => {
  expect(() => [...makeFrameSplitter(4096).push(Buffer.from(hex, 'hex'))]).toThrow(message);
});

test('a large frame in small pieces takes time in proportion to its size', () => {
  const bytes = encodeFrame({ program: 1, procedure: 1, type: 1, serial: 1, status: 0 }, Buffer.alloc(16 * 1024 * 1024, 7));
  const splitter = makeFrameSplitter(bytes.length);
  const before = process.cpuUsage();
  const got: Frame[] = [];
  for (let at = 0; at < bytes.length; at += 4096) got.push(...splitter.push(bytes.subarray(at, at + 4096)));
  expect(got[0]?.payload.length).toBe(16 * 1024 * 1024);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000); // 4096 copies of what has come so far would take minutes
});

/** What splitting throws, if anything. */
function refusal(chunks: readonly Uint8Array[]): unknown {
  const splitter = makeFrameSplitter(4096);
  try {
    for (const chunk of chunks) Array.from(splitter.push(Buffer.from(chunk)));
    return undefined;
  } catch (error) {
    return error;
  }
}

function cleanRefusal(thrown: unknown): boolean {
  return thrown === undefined || thrown instanceof LibvirtProtocolError;
}
