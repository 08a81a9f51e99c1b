import { expect, test } from 'vitest';
import { followEvents } from '../../../src/hypervisor/vm-events.ts';
import { libvirtNumbers, type DomainEvent, type LibvirtClient } from '../../../src/libvirt/libvirt.ts';

const ours = { name: 'vmlet-0123456789ab', uuid: '00000000-0000-0000-0000-000000000000', id: 1 };

/** Events of VMs from a client that a test makes tell what it likes. */
function follow() {
  let tell: (event: DomainEvent) => void = () => undefined;
  const client = { on: (_name: string, listener: typeof tell) => void (tell = listener) } as unknown as LibvirtClient;
  const counted: (readonly [string, boolean])[] = [];
  const events = followEvents(client, (kind, heard) => void counted.push([kind, heard]));
  return { events, counted, tell: (event: DomainEvent) => tell(event) };
}

const stopped = {
  kind: 'lifecycle',
  callbackId: 1,
  domain: ours,
  event: 'stopped',
  detail: libvirtNumbers.stoppedDetail.shutdown,
} as const;

test('each event of a VM is counted once, heard or not; foreign domains and what VMs do not tell are not', () => {
  const { events, counted, tell } = follow();
  tell(stopped);
  const unsubscribe = events.onEvent(() => undefined);
  events.onEvent(() => undefined)();
  tell({ ...stopped, event: 'started', detail: 0 });
  tell({ ...stopped, event: 'defined', detail: 0 });
  tell({ ...stopped, domain: { ...ours, name: 'somebody-elses' } });
  unsubscribe();
  tell(stopped);
  expect(counted).toEqual([
    ['stopped', false],
    ['started', true],
    ['stopped', false],
  ]);
});
