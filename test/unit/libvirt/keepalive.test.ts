import { expect, test } from 'vitest';
import { encodeFrame, type Frame } from '../../../src/libvirt/frame.ts';
import { program } from '../../../src/libvirt/protocol.ts';
import { replyBytes } from '../../lib/fake-libvirtd.ts';
import { waitFor } from '../../lib/wait.ts';
import { failure, makeConnected } from './client-fixture.ts';

const ping = { program: program.keepalive, procedure: 1, type: 2, serial: 0, status: 0 };
const isPing = (frame: Frame): boolean => frame.program === program.keepalive && frame.procedure === 1;
const isPong = (frame: Frame): boolean => frame.program === program.keepalive && frame.procedure === 2;

test('answers pings with pongs', async () => {
  const { fake } = await makeConnected();
  for (const socket of fake.sockets) socket.write(Buffer.concat([encodeFrame(ping, Buffer.alloc(0)), encodeFrame(ping, Buffer.alloc(0))]));
  const pongs = (): number => fake.received.filter(isPong).length;
  await waitFor(() => pongs() >= 4, { timeoutMs: 5000, what: 'pongs' });
  expect(pongs()).toBe(4);
});

test('a libvirtd that answers to pings stays', async () => {
  const { fake, client } = await makeConnected({ keepalive: { intervalMs: 10, count: 2 } });
  fake.handle((frame, socket) => isPing(frame) && socket.write(encodeFrame({ ...ping, procedure: 2 }, Buffer.alloc(0))));
  const told: string[] = [];
  client.on('disconnected', ({ message }) => told.push(message));
  await waitFor(() => fake.received.filter(isPing).length > 10, { timeoutMs: 5000, what: 'pings' });
  expect(told).toEqual([]);
});

test('a libvirtd that is silent is given up, and so are the calls to it', async () => {
  const { fake, client } = await makeConnected({ keepalive: { intervalMs: 10, count: 3 } });
  fake.handle(({ procedure }) => procedure === 59);
  const error = await failure(client.query.host.hostname());
  expect(error.message).toBe('connection to libvirtd lost: no sign of life from libvirtd for 3 pings');
});

test('a libvirtd without keepalive is not pinged', async () => {
  const { fake, client } = await makeConnected({ keepalive: { intervalMs: 5, count: 1 } });
  fake.handle((frame, socket) => frame.procedure === 60 && socket.write(replyBytes(frame, '00000000')));
  for (const socket of fake.sockets) socket.destroy();
  const lost = Promise.withResolvers<Error>();
  client.on('disconnected', lost.resolve);
  await lost.promise;
  await client.connected(AbortSignal.timeout(5000));
  const before = fake.received.length;
  expect((await failure(client.query.within(40).host.hostname())).message).toContain('no answer');
  expect(fake.received.slice(before).filter(isPing)).toEqual([]);
});
