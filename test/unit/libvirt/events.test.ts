import { expect, test } from 'vitest';
import { int, string } from '../../../src/libvirt/codecs.ts';
import { domain as domainCodec, typedParameters } from '../../../src/libvirt/domain.ts';
import { eventCodec, eventLayouts } from '../../../src/libvirt/events.ts';
import { decodeXdr, encodeXdr, type Codec } from '../../../src/libvirt/xdr.ts';

const domain = { name: 'vm', uuid: '0b2f6a3e-6f0f-4c0e-9d5b-0f3b1f6f2a11', id: 4 };
const statistics = new Map<string, string | number | bigint>([
  ['operation', 4],
  ['time_elapsed', 12n],
]);

/** One value in its layout. */
function part<T>(codec: Codec<T>, value: T): Buffer {
  return encodeXdr(codec, value, 4096);
}

/** Layouts are those of remote_protocol.x: registration, domain, what the kind adds. */
test.each([
  [318, [part(int, 5), part(int, 1)], { kind: 'lifecycle', event: 'stopped', detail: 1 }],
  [318, [part(int, 99), part(int, 7)], { kind: 'lifecycle', event: 'unknown', detail: 7 }],
  [319, [], { kind: 'reboot' }],
  [
    324,
    [part(string, '/d'), part(string, 'virtio-disk0'), part(int, 1), part(string, 'enospc')],
    { kind: 'ioError', path: '/d', device: 'virtio-disk0', action: 'pause', reason: 'enospc' },
  ],
  [
    324,
    [part(string, ''), part(string, ''), part(int, 9), part(string, '')],
    { kind: 'ioError', path: '', device: '', action: 'unknown', reason: '' },
  ],
  [348, [part(int, 1), part(int, 2)], { kind: 'agent', state: 'connected', reason: 2 }],
  [348, [part(int, 9), part(int, 0)], { kind: 'agent', state: 'unknown', reason: 0 }],
  [333, [part(string, 'net0')], { kind: 'deviceRemoved', device: 'net0' }],
  [363, [part(typedParameters, statistics)], { kind: 'jobCompleted', statistics }],
])('procedure %i', (procedure, parts, body) => {
  const codec = eventCodec(procedure);
  const bytes = Buffer.concat([part(int, 8), part(domainCodec, domain), ...parts]);
  expect(codec && decodeXdr(codec, bytes)).toEqual({ callbackId: 8, domain, ...body });
});

test('registrations ask by virDomainEventID', () => {
  const ids = Object.entries(eventLayouts).map(([kind, { id }]) => [kind, id]);
  expect(Object.fromEntries(ids)).toEqual({ lifecycle: 0, reboot: 1, ioError: 6, agent: 18, deviceRemoved: 15, jobCompleted: 21 });
  expect(eventCodec(320)).toBeUndefined();
});
