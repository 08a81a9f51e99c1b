import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { string, uhyper } from '../../../src/libvirt/codecs.ts';
import type { Frame } from '../../../src/libvirt/frame.ts';
import {
  isLibvirtError,
  isNoAnswer,
  LibvirtConnectionLostError,
  LibvirtError,
  LibvirtTimeoutError,
  LibvirtUnavailableError,
} from '../../../src/libvirt/libvirt.ts';
import { reply, replyBytes } from '../../lib/fake-libvirtd.ts';
import { waitFor } from '../../lib/wait.ts';
import { failure, makeConnected } from './client-fixture.ts';

const hostname = 59;
const lookupByName = 23;
const domain = { name: 'x', uuid: '00000000-0000-0000-0000-000000000000' };

test('answers find their calls, in whatever order they come', async () => {
  const { fake, client } = await makeConnected();
  const calls: Frame[] = [];
  fake.handle((frame, socket) => {
    if (frame.procedure !== lookupByName) return false;
    calls.push(frame);
    if (calls.length < 3) return true;
    for (const call of calls.toReversed()) socket.write(named(call));
    return true;
  });
  const found = await Promise.all(['a', 'b', 'c'].map((name) => client.query.domains.lookupByName(name)));
  expect(found.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
});

test('an error reply becomes a LibvirtError with all its facts', async () => {
  const { fake, client } = await makeConnected();
  const text = (value: string): string => Buffer.from(value).toString('hex');
  fake.handle((frame, socket) => {
    if (frame.procedure !== hostname) return false;
    const parts = ['0000002a', '0000000a', `0000000100000004${text('gone')}`, '00000002', '00000000', `0000000100000004${text('str1')}`];
    socket.write(replyBytes(frame, [...parts, '00000000', '00000000', '00000000', 'ffffffff', '00000000'].join(''), 1));
    return true;
  });
  const error = await failure(client.query.host.hostname());
  expect(error).toBeInstanceOf(LibvirtError);
  expect(error).toMatchObject({ code: 42, domain: 10, level: 2, message: 'gone', details: ['str1'] });
  expect([isLibvirtError(error), isLibvirtError(error, 42), isLibvirtError(error, 1, 2), isNoAnswer(error)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('a call is given up at its deadline, and its late answer is dropped', async () => {
  const { fake, client } = await makeConnected({ callTimeoutMs: 20 });
  let first: (() => void) | undefined;
  fake.handle((frame, socket) => {
    if (frame.procedure !== hostname) return false;
    const answer = (): boolean => socket.write(reply(frame, string, `answer ${frame.serial}`));
    if (first === undefined) first = answer;
    else answer();
    return true;
  });
  const error = await failure(client.query.host.hostname());
  expect(error).toBeInstanceOf(LibvirtTimeoutError);
  expect(error.message).toBe('no answer from libvirtd to procedure 59 within 20 ms');
  expect(isNoAnswer(error)).toBe(true);
  first?.();
  expect(await client.query.within(5000).host.hostname()).toMatch(/^answer /);
  expect(client.state().kind).toBe('connected');
});

test('within() sets another deadline', async () => {
  const { fake, client } = await makeConnected({ callTimeoutMs: 60_000 });
  fake.handle((frame) => frame.procedure === hostname);
  expect((await failure(client.control.within(10).host.hostname())).message).toContain('within 10 ms');
});

test('a deadline that no timer holds is a long one', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame, socket) => {
    if (frame.procedure === hostname) setTimeout(() => socket.write(reply(frame, string, 'late')), 30);
    return frame.procedure === hostname;
  });
  expect(await client.query.within(Number.POSITIVE_INFINITY).host.hostname()).toBe('late');
});

test('a signal ends the wait, before and during a call, and keeps no listener', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame, socket) => {
    if (frame.procedure === hostname) return true;
    if (frame.procedure === 4) socket.write(reply(frame, uhyper, 7_002_022n));
    return false;
  });
  const before = fake.received.length;
  const reason = new Error('enough');
  expect(await failure(client.query.host.hostname(AbortSignal.abort(reason)))).toBe(reason);
  expect(fake.received).toHaveLength(before);
  const controller = new AbortController();
  const call = failure(client.query.host.hostname(controller.signal));
  await waitFor(() => fake.received.length > before, { timeoutMs: 5000, what: 'call', everyMs: 1 });
  controller.abort(reason);
  expect(await call).toBe(reason);
  const other = new AbortController();
  expect(await client.query.host.version(other.signal)).toBe(7_002_022);
  expect([controller, other].map(({ signal }) => getEventListeners(signal, 'abort').length)).toEqual([0, 0]);
});

test('arguments that cannot be sent fail alone', async () => {
  const { client } = await makeConnected({ maxMessageBytes: 1000 });
  expect(await failure(client.control.domains.define('x'.repeat(2000), 0))).toBeInstanceOf(RangeError);
  expect(await failure(client.control.domains.destroy(domain, -1))).toBeInstanceOf(RangeError);
  expect(await failure(client.control.domains.destroy({ ...domain, uuid: 'no' }, 0))).toBeInstanceOf(RangeError);
  expect(client.state().kind).toBe('connected');
});

test('slow calls go over a connection of their own', async () => {
  const { fake, client } = await makeConnected();
  const seen = new Set<unknown>();
  fake.handle((frame, socket) => {
    if (frame.procedure !== hostname) return false;
    seen.add(socket);
    return socket.write(reply(frame, string, 'h'));
  });
  await Promise.all([client.query.host.hostname(), client.control.host.hostname()]);
  expect(seen.size).toBe(2);
});

test('when the connection is lost, pending calls fail as lost and later ones as unavailable', async () => {
  const { fake, client } = await makeConnected();
  fake.handle((frame) => frame.procedure === hostname);
  const pending = [failure(client.query.host.hostname()), failure(client.control.host.hostname())];
  await fake.down();
  for (const error of await Promise.all(pending)) {
    expect(error).toBeInstanceOf(LibvirtConnectionLostError);
    expect(error.message).toMatch(/^connection to libvirtd lost: (libvirtd closed it|read ECONNRESET)$/);
    expect(isNoAnswer(error)).toBe(true);
  }
  const error = await failure(client.query.host.hostname());
  expect(error).toBeInstanceOf(LibvirtUnavailableError);
  expect(isNoAnswer(error)).toBe(true);
});

/** The reply to a lookup: a domain of the name that was asked for. */
function named(call: Frame): Buffer {
  return replyBytes(call, `${call.payload.toString('hex')}${'00'.repeat(16)}ffffffff`);
}
