import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { encodeFrame, type Frame } from '../../../src/libvirt/frame.ts';
import { LibvirtConnectionLostError, LibvirtError, LibvirtProtocolError, LibvirtUnavailableError } from '../../../src/libvirt/libvirt.ts';
import { makeFakeLibvirtd, replyBytes, type FakeLibvirtd } from '../../lib/fake-libvirtd.ts';
import { waitFor } from '../../lib/wait.ts';
import { failure, makeClient, makeConnected } from './client-fixture.ts';

const openConsole = 201;
const domain = { name: 'x', uuid: '11111111-1111-1111-1111-111111111111' };
const status = { ok: 0, error: 1, more: 2 } as const;

/** A stream that is open, and libvirtd's side of it. */
interface Opened {
  readonly fake: FakeLibvirtd;
  readonly stream: Duplex;
  readonly socket: Socket;
  readonly send: (status: number, payload: Buffer | string) => boolean;
  /** What the client has sent on the stream. */
  readonly sent: () => readonly Frame[];
}

async function open(): Promise<Opened> {
  const { fake, client } = await makeConnected();
  const call = Promise.withResolvers<{ frame: Frame; socket: Socket }>();
  fake.handle((frame, socket) => {
    if (frame.procedure !== openConsole || frame.type !== 0) return false;
    call.resolve({ frame, socket });
    return socket.write(replyBytes(frame, ''));
  });
  const stream = await client.openConsole(domain, undefined, 0);
  stream.on('error', () => {});
  onTestFinished(() => void stream.destroy());
  const { frame, socket } = await call.promise;
  return {
    fake,
    stream,
    socket,
    send: (code, payload) => socket.write(encodeFrame({ ...frame, type: 3, status: code }, Buffer.from(payload))),
    sent: () => fake.received.filter(({ type }) => type === 3),
  };
}

test('carries bytes both ways', async () => {
  const { stream, send, sent } = await open();
  send(status.more, 'hello ');
  send(status.more, 'guest');
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await waitFor(() => text === 'hello guest', { timeoutMs: 5000, what: 'data', everyMs: 1 });
  stream.write('hello host');
  await waitFor(() => sent().length === 1, { timeoutMs: 5000, what: 'data', everyMs: 1 });
  expect(sent()[0]).toMatchObject({ procedure: openConsole, status: status.more, payload: Buffer.from('hello host') });
});

test('sends what is large in messages that libvirtd takes', async () => {
  const { stream, sent } = await open();
  const data = Buffer.alloc(600_000, 'abc');
  stream.write(data);
  await waitFor(() => sent().length === 3, { timeoutMs: 5000, what: 'three messages', everyMs: 1 });
  expect(sent().map(({ payload }) => payload.length)).toEqual([262_120, 262_120, 75_760]);
  expect(Buffer.concat(sent().map(({ payload }) => payload)).equals(data)).toBe(true);
});

test('end() finishes the stream; when libvirtd agrees, stream and connection are over', async () => {
  const { fake, stream, socket, send, sent } = await open();
  stream.resume();
  const closed = once(stream, 'close');
  stream.end();
  await waitFor(() => sent().length === 1, { timeoutMs: 5000, what: 'finish', everyMs: 1 });
  expect(sent()[0]).toMatchObject({ status: status.ok, payload: Buffer.alloc(0) });
  send(status.ok, '');
  await closed;
  expect(stream.errored).toBeNull();
  await waitFor(() => !fake.sockets.has(socket), { timeoutMs: 5000, what: 'end of the connection' });
});

test('the end of the data from libvirtd ends the stream', async () => {
  const { stream, send, sent } = await open();
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const closed = once(stream, 'close');
  send(status.more, 'bye');
  send(status.more, '');
  await closed;
  expect(text).toBe('bye');
  await waitFor(() => sent().length > 0, { timeoutMs: 5000, what: 'finish', everyMs: 1 });
  expect(sent().map((frame) => frame.status)).toEqual([status.ok]);
});

test('destroy() ends the connection', async () => {
  const { fake, stream, socket } = await open();
  stream.destroy();
  await waitFor(() => !fake.sockets.has(socket), { timeoutMs: 5000, what: 'end of the connection' });
  expect(fake.sockets.size).toBe(2);
});

test.each([
  ['an error from libvirtd', `0000002a${'00000000'.repeat(10)}`, LibvirtError],
  ['an abort without a reason', '', Error],
])('%s destroys the stream', async (_name, hex, type) => {
  const { stream, send } = await open();
  send(status.error, Buffer.from(hex, 'hex'));
  await waitFor(() => stream.closed, { timeoutMs: 5000, what: 'close' });
  expect(stream.errored).toBeInstanceOf(type);
});

test('a malformed stream message destroys the stream', async () => {
  const { stream, send } = await open();
  send(7, '');
  await waitFor(() => stream.closed, { timeoutMs: 5000, what: 'close' });
  expect(stream.errored).toBeInstanceOf(LibvirtConnectionLostError);
  expect(stream.errored?.cause).toBeInstanceOf(LibvirtProtocolError);
});

test('when libvirtd goes away, the stream fails', async () => {
  const { fake, stream } = await open();
  await fake.down();
  await waitFor(() => stream.closed, { timeoutMs: 5000, what: 'close' });
  expect(stream.errored).toBeInstanceOf(LibvirtConnectionLostError);
});

test('when the client loses libvirtd by its other connections, its streams fail too', async () => {
  const { fake, stream, socket } = await open();
  for (const other of fake.sockets) if (other !== socket) other.destroy();
  await waitFor(() => stream.closed, { timeoutMs: 5000, what: 'close' });
  expect(stream.errored).toBeInstanceOf(LibvirtConnectionLostError);
});

test('what nobody reads stays with libvirtd', async () => {
  const { stream, socket } = await open();
  const message = encodeFrame(
    { program: 0x20008086, procedure: openConsole, type: 3, serial: 3, status: status.more },
    Buffer.alloc(64 * 1024, 'x'),
  );
  let taken = 0;
  while (socket.write(message)) taken += 1;
  const total = 400;
  for (let count = taken + 1; count < total; count += 1) socket.write(message);
  await waitFor(() => stream.readableLength > 0, { timeoutMs: 5000, what: 'data' });
  await waitFor(() => socket.writableLength > 16 * 1024 * 1024, { timeoutMs: 5000, what: 'back-pressure' });
  expect(stream.readableLength).toBeLessThan(1024 * 1024);
  let got = 0;
  stream.on('data', (chunk: Buffer) => (got += chunk.length));
  await waitFor(() => got === total * 64 * 1024, { timeoutMs: 10_000, what: 'all data' });
});

test('a refusal to open fails the call and ends the connection', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame, socket) => frame.procedure === 296 && socket.write(replyBytes(frame, `00000009${'00000000'.repeat(10)}`, 1)));
  const before = fake.sockets.size;
  expect(await failure(client.openChannel(domain, 'org.qemu.guest_agent.0', 0))).toMatchObject({ code: 9 });
  await waitFor(() => fake.sockets.size === before, { timeoutMs: 5000, what: 'end of the connection' });
});

test('without a connection there is no stream', async () => {
  const client = makeClient(makeFakeLibvirtd());
  expect(await failure(client.openConsole(domain, undefined, 0))).toBeInstanceOf(LibvirtUnavailableError);
});
