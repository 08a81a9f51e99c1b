import { expect, test } from 'vitest';
import { string } from '../../../src/libvirt/codecs.ts';
import { libvirtNumbers, type LibvirtCallReport } from '../../../src/libvirt/libvirt.ts';
import { reply, replyBytes } from '../../lib/fake-libvirtd.ts';
import { failure, makeConnected } from './client-fixture.ts';

const hostname = 59;
const domain = { name: 'x', uuid: '00000000-0000-0000-0000-000000000000' };

async function observed(options: { readonly callTimeoutMs?: number } = {}) {
  const told: (LibvirtCallReport | 'started')[] = [];
  const connected = await makeConnected({
    ...options,
    onCallStarted: () => void told.push('started'),
    onCall: (report) => void told.push(report),
  });
  return { ...connected, told };
}

const report = (facts: Omit<LibvirtCallReport, 'seconds'>) => ({ ...facts, seconds: expect.any(Number) });

test('a call is told when it starts and when it has its answer; what opens the session is not told', async () => {
  const { fake, client, told } = await observed();
  fake.handle((frame, socket) => frame.procedure === hostname && socket.write(reply(frame, string, 'here')));
  expect(told).toEqual([]);
  const answer = client.query.host.hostname();
  expect(told).toEqual(['started']);
  expect(await answer).toBe('here');
  expect(told.slice(1)).toEqual([report({ connection: 'query', group: 'host', outcome: 'ok' })]);
});

test('each way to fail has its outcome', async () => {
  const { fake, client, told } = await observed({ callTimeoutMs: 30 });
  fake.handle((frame, socket) => {
    if (frame.procedure === hostname) return true; // never answered
    if (frame.procedure !== 23) return false;
    const message = ['0000002a', '0000000a', '00000000', '00000002', ...Array<string>(5).fill('00000000'), 'ffffffff', '00000000'];
    socket.write(replyBytes(frame, message.join(''), 1));
    return true;
  });
  const giveUp = new AbortController();
  const aborted = failure(client.control.within(60_000).host.hostname(giveUp.signal));
  giveUp.abort(new Error('enough'));
  await aborted;
  await failure(client.query.host.hostname());
  await failure(client.query.domains.lookupByName('x'));
  await failure(client.control.domains.create({ ...domain, uuid: 'none' }, 0));
  await failure(client.openConsole({ ...domain, uuid: 'none' }, undefined, libvirtNumbers.domainConsoleFlag.force));
  await fake.down();
  await failure(client.query.domains.state(domain, 0));
  expect(told.filter((one) => one !== 'started')).toEqual([
    report({ connection: 'control', group: 'host', outcome: 'aborted' }),
    report({ connection: 'query', group: 'host', outcome: 'timeout' }),
    report({ connection: 'query', group: 'lookup', outcome: 'refused' }),
    report({ connection: 'control', group: 'lifecycle', outcome: 'invalid' }),
    report({ connection: 'stream', group: 'streams', outcome: 'invalid' }),
    report({ connection: 'query', group: 'lookup', outcome: 'disconnected' }),
  ]);
  expect(told.filter((one) => one === 'started')).toHaveLength(6);
});
