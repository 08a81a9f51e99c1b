import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LibvirtConnectionLostError, LibvirtProtocolError } from '../../../src/libvirt/libvirt.ts';
import { encodeFrame, type Frame } from '../../../src/libvirt/frame.ts';
import { replyBytes } from '../../lib/fake-libvirtd.ts';
import { failure, makeConnected } from './client-fixture.ts';

const hostname = 59;
const event = { program: 0x20008086, procedure: 318, type: 2, serial: 0, status: 0 };

/** What comes instead of an answer, and how the client puts it. */
const cases: readonly (readonly [string, (call: Frame) => Buffer, string])[] = [
  ['a huge length', () => Buffer.from('7fffffff', 'hex'), 'frame of 2147483647 bytes; at most 33554436 are allowed'],
  ['a length below the header', () => Buffer.from('00000004', 'hex'), 'frame of 4 bytes; its header alone has 28'],
  ['text', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'frame of 1213486160 bytes'],
  ['an unknown program', (call) => encodeFrame({ ...call, program: 5, type: 1 }, Buffer.alloc(0)), 'unexpected message: program 0x5'],
  ['an unknown type', (call) => encodeFrame({ ...call, type: 9 }, Buffer.alloc(0)), 'type 9'],
  ['a call', (call) => encodeFrame(call, Buffer.alloc(0)), 'type 0'],
  ['data of a stream that is not open', (call) => encodeFrame({ ...call, type: 3, status: 2 }, Buffer.alloc(4)), 'type 3'],
  ['an answer to nobody', (call) => replyBytes({ ...call, serial: 999 }, ''), 'serial 999'],
  ['an answer of another procedure', (call) => replyBytes({ ...call, procedure: 60 }, ''), 'procedure 60'],
  ['an unknown status', (call) => replyBytes(call, '', 7), 'status 7'],
  [
    'an unknown keepalive message',
    () => encodeFrame({ ...event, program: 0x6b656570, procedure: 3 }, Buffer.alloc(0)),
    'program 0x6b656570',
  ],
  ['a truncated result', (call) => replyBytes(call, '000000ff6161'), 'malformed message: 255 bytes expected at offset 4, 2 left'],
  ['a result with bytes left over', (call) => replyBytes(call, '0000000000000000'), 'malformed message: 4 bytes left over'],
  ['an error that is none', (call) => replyBytes(call, '0000', 1), 'malformed message: 4 bytes expected at offset 0, 2 left'],
  ['a truncated event', () => encodeFrame(event, Buffer.alloc(4)), 'malformed message: 4 bytes expected at offset 4, 0 left'],
];

test.each(cases)('%s closes the connection with a clear error, and the client connects again', async (_name, bytes, message) => {
  const { fake, client } = await makeConnected();
  fake.handle((frame, socket) => frame.procedure === hostname && socket.write(bytes(frame)));
  const disconnected = Promise.withResolvers<Error>();
  client.on('disconnected', disconnected.resolve);
  const error = await failure(client.query.host.hostname());
  expect(error).toBeInstanceOf(LibvirtConnectionLostError);
  expect(error.message).toContain(message);
  expect(error.cause).toBeInstanceOf(LibvirtProtocolError);
  expect((await disconnected.promise).message).toContain(message);
  await client.connected(AbortSignal.timeout(5000));
});

test('an event that nobody asked for passes unseen', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame, socket) => {
    if (frame.procedure !== hostname) return false;
    socket.write(encodeFrame({ ...event, procedure: 9999 }, Buffer.from('junk')));
    return socket.write(replyBytes(frame, '00000000'));
  });
  expect(await client.query.host.hostname()).toBe('');
});

test('whatever bytes come, the call settles and the client lives on', async () => {
  const { fake, client } = await makeConnected({ callTimeoutMs: 50 });
  let garbage: Buffer = Buffer.alloc(0);
  fake.handle((frame, socket) => frame.procedure === hostname && socket.write(garbage));
  const header = fc.record({
    program: fc.constantFrom(0x20008086, 0x20008087, 0x6b656570),
    procedure: fc.constantFrom(1, 2, 59, 318, 319, 324, 333, 348, 363),
    type: fc.nat(4),
    serial: fc.nat(8),
    status: fc.nat(3),
  });
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 64 }).map((raw) => Buffer.from(raw)),
    fc.tuple(header, fc.uint8Array({ maxLength: 64 })).map(([head, payload]) => encodeFrame(head, Buffer.from(payload))),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (sent) => {
      garbage = sent;
      await client.connected(AbortSignal.timeout(5000));
      await Promise.allSettled([client.query.host.hostname()]);
    }),
    { numRuns: 60 },
  );
  await client.connected(AbortSignal.timeout(5000));
  expect(client.state()).toEqual({ kind: 'connected' });
});
