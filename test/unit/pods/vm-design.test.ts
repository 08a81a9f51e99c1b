import { expect, it } from 'vitest';
import type { NetworkAttachment } from '../../../src/model/network.ts';
import { vmPaths } from '../../../src/pods/layout.ts';
import { seedOf, vmSpecOf } from '../../../src/pods/vm-design.ts';
import { containerOf, sandboxOf } from './samples.ts';
import { image } from './world.ts';

const own = { mtu: 1400, addresses: [{ cidr: '10.1.0.5/24' }], routes: [] };
const attachment: NetworkAttachment = {
  sandboxId: sandboxOf({}).id,
  netnsPath: '/run/netns/vmlet-a',
  ips: ['10.1.0.5'],
  interfaces: [
    { ...own, name: 'eth0', mac: '02:00:00:00:00:01' },
    { ...own, name: 'net1', mac: '02:00:00:00:00:02', virtualFunction: { pciAddress: '0000:3b:02.1', vlan: 100 } },
    { ...own, name: 'net2', mac: '02:00:00:00:00:03' },
  ],
  dns: { servers: [], searches: [], options: [] },
};
const [sandbox, container] = [sandboxOf({}), containerOf({ id: 'c0' })];
const paths = vmPaths('/var/lib/vmlet', '/run/vmlet', container.id);

it('a VM has taps by the places of its interfaces, and virtual functions as devices', () => {
  const { interfaces } = vmSpecOf(paths, { container, sandbox, image, attachment }, 106);
  const tap = { kind: 'tap', mtu: 1400, queues: 1 };
  expect(interfaces).toEqual([
    { ...tap, tap: container.vm.tap, mac: '02:00:00:00:00:01' },
    { kind: 'device', mac: '02:00:00:00:00:02', pciAddress: '0000:3b:02.1', vlan: 100 },
    { ...tap, tap: `${container.vm.tap}2`, mac: '02:00:00:00:00:03' },
  ]);
});

it('a guest is told of all of them', () => {
  const { interfaces } = seedOf(paths, sandbox, attachment, { uid: 4711, gid: 106 });
  expect(interfaces.map(({ name }) => name)).toEqual(['eth0', 'net1', 'net2']);
});
