import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeFrame, makeFrameSplitter, type Frame } from '../../../src/libvirt/frame.ts';
import type { DomainEvent } from '../../../src/libvirt/libvirt.ts';
import { libvirtMaxFrameBytes } from '../../../src/libvirt/protocol.ts';
import { makeFakeLibvirtd } from '../../lib/fake-libvirtd.ts';
import { expectGolden } from '../../lib/golden.ts';
import { answersOf, printed } from '../../lib/libvirt-calls.ts';
import type { Recording } from '../../lib/libvirt-tap.ts';
import { waitFor } from '../../lib/wait.ts';
import { makeClient } from './client-fixture.ts';

/** Both connections of a client, as they were with a real libvirtd 9.0; written by the integration test of the same name. */
const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/libvirt/recorded.json'), 'utf8'),
) as readonly Recording[];

test('what was recorded with a real libvirtd is asked the same way and understood', async () => {
  const fake = makeFakeLibvirtd();
  const left = recorded.flatMap(({ exchanges }) => exchanges);
  fake.handle((frame, socket) => {
    if (frame.type !== 0) return true;
    const request = encodeFrame({ ...frame, serial: 0 }, frame.payload).toString('hex');
    const index = left.findIndex((exchange) => exchange.request === request);
    const [found] = index < 0 ? [] : left.splice(index, 1);
    if (found === undefined) throw new Error(`not recorded: ${request}`);
    const answer = frameOf(found.reply);
    return socket.write(encodeFrame({ ...answer, serial: frame.serial }, answer.payload));
  });
  await fake.listen();
  const client = makeClient(fake, {
    uri: 'test:///default',
    events: ['lifecycle', 'reboot', 'ioError', 'agent', 'deviceRemoved', 'jobCompleted'],
  });
  const events: DomainEvent[] = [];
  client.on('event', (event) => events.push(event));
  await client.connected(AbortSignal.timeout(5000));
  const answers = await answersOf(client);
  const [query] = fake.sockets;
  const sent = recorded.flatMap((recording) => recording.events);
  for (const event of sent) query?.write(Buffer.from(event, 'hex'));
  await waitFor(() => events.length === sent.length, { timeoutMs: 5000, what: 'events' });
  expectGolden('libvirt/decoded.json', printed({ answers, events }));
  await client.close();
  expect(left).toEqual([]);
});

function frameOf(hex: string): Frame {
  const [frame] = makeFrameSplitter(libvirtMaxFrameBytes).push(Buffer.from(hex, 'hex'));
  if (frame === undefined) throw new Error('no frame');
  return frame;
}
