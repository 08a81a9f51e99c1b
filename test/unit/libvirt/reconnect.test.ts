import { expect, test } from 'vitest';
import { backoffMs } from '../../../src/libvirt/backoff.ts';
import { int, list } from '../../../src/libvirt/codecs.ts';
import { encodeFrame } from '../../../src/libvirt/frame.ts';
import { LibvirtConnectionLostError, LibvirtUnavailableError, type DomainEvent } from '../../../src/libvirt/libvirt.ts';
import { makeFakeLibvirtd, reply, replyBytes } from '../../lib/fake-libvirtd.ts';
import { waitFor } from '../../lib/wait.ts';
import { failure, makeClient, makeConnected } from './client-fixture.ts';

const register = 316;
/** Registration 1, domain "x" with number 3, event 5 (stopped), detail 1 (destroyed). */
const stopped = Buffer.from(`00000001${'0000000178000000'}${'11'.repeat(16)}00000003${'00000005'}${'00000001'}`, 'hex');
const lifecycle = encodeFrame({ program: 0x20008086, procedure: 318, type: 2, serial: 0, status: 0 }, stopped);

test('while there is no socket, calls fail at once; when it appears, the client connects', async () => {
  const fake = makeFakeLibvirtd();
  const client = makeClient(fake);
  expect(await failure(client.query.host.hostname())).toBeInstanceOf(LibvirtUnavailableError);
  const state = await waitFor(() => withError(client.state()), { timeoutMs: 5000, what: 'first failure', everyMs: 1 });
  expect(state.message).toContain(`cannot open qemu:///system at ${fake.socketPath}: connect ENOENT`);
  expect((await failure(client.query.host.hostname())).cause).toBe(state);
  await fake.listen();
  await client.connected(AbortSignal.timeout(5000));
  expect(client.state()).toEqual({ kind: 'connected' });
});

test('after a loss it tells so, connects again, registers again and tells that too', async () => {
  const { fake, client } = await makeConnected({ events: ['lifecycle', 'reboot'] });
  const told: string[] = [];
  client.on('connected', ({ again }) => told.push(`connected again: ${String(again)}`));
  client.on('disconnected', (error) => told.push(error.message));
  const registrations = (): number => fake.received.filter(({ procedure }) => procedure === register).length;
  expect(registrations()).toBe(2);
  await fake.down();
  await waitFor(() => told.length > 0, { timeoutMs: 5000, what: 'disconnected', everyMs: 1 });
  await fake.listen();
  await client.connected(AbortSignal.timeout(5000));
  expect(told).toEqual([expect.stringMatching(/^connection to libvirtd lost: \w/), 'connected again: true']);
  expect(registrations()).toBe(4);
});

test('when one of its two connections is lost, both are opened anew', async () => {
  const { fake, client } = await makeConnected();
  const before = new Set(fake.sockets);
  [...before][1]?.destroy();
  const lost = Promise.withResolvers<Error>();
  client.on('disconnected', lost.resolve);
  await lost.promise;
  await client.connected(AbortSignal.timeout(5000));
  expect([...fake.sockets].filter((socket) => before.has(socket))).toEqual([]);
});

test('events come after "connected", also those that libvirtd sent before', async () => {
  const fake = makeFakeLibvirtd();
  fake.handle((frame, socket) => {
    if (frame.procedure === register) socket.write(Buffer.concat([reply(frame, int, 1), lifecycle]));
    return frame.procedure === register;
  });
  const client = makeClient(fake);
  const told: (DomainEvent | string)[] = [];
  client.on('connected', () => told.push('connected'));
  const off = client.on('event', (event) => told.push(event));
  await fake.listen();
  await waitFor(() => told.length === 2, { timeoutMs: 5000, what: 'event', everyMs: 1 });
  const domain = { name: 'x', uuid: '11111111-1111-1111-1111-111111111111', id: 3 };
  expect(told).toEqual(['connected', { callbackId: 1, domain, kind: 'lifecycle', event: 'stopped', detail: 1 }]);
  off();
  for (const socket of fake.sockets) socket.write(lifecycle);
  fake.handle((frame, socket) => frame.procedure === 59 && socket.write(replyBytes(frame, '00000000')));
  await Promise.all([client.query.host.hostname(), client.control.host.hostname()]);
  expect(told).toHaveLength(2);
});

test.each([
  [
    'authentication that it has none of',
    66,
    (frame: Parameters<typeof reply>[0]) => reply(frame, list(int), [2]),
    'libvirtd asks for authentication',
  ],
  ['a refused URI', 1, (frame: Parameters<typeof reply>[0]) => replyBytes(frame, `00000005${'00000000'.repeat(10)}`, 1), 'libvirt error 5'],
])('%s shows in the state', async (_name, procedure, answer, message) => {
  const fake = makeFakeLibvirtd();
  fake.handle((frame, socket) => frame.procedure === procedure && socket.write(answer(frame)));
  await fake.listen();
  const client = makeClient(fake);
  const error = await waitFor(() => withError(client.state()), { timeoutMs: 5000, what: 'failure', everyMs: 1 });
  expect(error.message).toContain(message);
});

test('an attempt that gets no answer is given up', async () => {
  const fake = makeFakeLibvirtd();
  fake.handle(() => true);
  await fake.listen();
  const client = makeClient(fake, { connectTimeoutMs: 30 });
  const error = await waitFor(() => withError(client.state()), { timeoutMs: 5000, what: 'failure', everyMs: 1 });
  expect(error).toBeInstanceOf(LibvirtUnavailableError);
});

test('waiting for the connection ends with the signal, and with close', async () => {
  const client = makeClient(makeFakeLibvirtd());
  const reason = new Error('enough');
  expect(await failure(client.connected(AbortSignal.abort(reason)))).toBe(reason);
  const controller = new AbortController();
  const aborted = failure(client.connected(controller.signal));
  controller.abort(reason);
  expect(await aborted).toBe(reason);
  const closed = failure(client.connected());
  await client.close();
  expect((await closed).message).toBe('this libvirt client is closed');
});

test('close ends the connections, what is pending, and all attempts; twice is fine', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame) => frame.procedure === 59);
  const told: string[] = [];
  client.on('disconnected', () => told.push('disconnected'));
  const pending = failure(client.query.host.hostname());
  await client.close();
  await client.close();
  expect(await pending).toBeInstanceOf(LibvirtConnectionLostError);
  expect((await failure(client.query.host.hostname())).message).toBe('this libvirt client is closed');
  expect(client.state()).toEqual({ kind: 'closed' });
  expect(told).toEqual([]);
  await waitFor(() => fake.sockets.size === 0, { timeoutMs: 5000, what: 'end of the connections' });
  expect(fake.received.filter(({ procedure }) => procedure === 2)).toHaveLength(2);
});

test('waits double up to the longest, and chance takes at most half away', () => {
  const bounds = { minMs: 100, maxMs: 2000 };
  expect([0, 1, 2, 3, 4, 5, 1000].map((attempt) => backoffMs(attempt, bounds, 0))).toEqual([100, 200, 400, 800, 1600, 2000, 2000]);
  expect(backoffMs(1, bounds, 1)).toBe(100);
});

function withError(state: ReturnType<ReturnType<typeof makeClient>['state']>): LibvirtUnavailableError | undefined {
  return state.kind === 'connecting' ? state.error : undefined;
}
