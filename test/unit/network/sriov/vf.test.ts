import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PciDevice } from '../../../../src/network/sriov/pci.ts';
import { handedOver, parsePhysicalLinks, returnStep, type Candidate, type PhysicalLink } from '../../../../src/network/sriov/vf.ts';

/** In the form in which `ip` of iproute2 6.1 prints a physical function with two virtual ones (its ip/ipaddress.c, print_vfinfo). */
const recorded = parsePhysicalLinks(
  readFileSync(join(import.meta.dirname, '..', '..', '..', 'fixtures', 'network', 'physical-function.json'), 'utf8'),
);
const address = '0000:3b:02.1';
const device: Candidate['device'] = {
  address,
  driver: 'iavf',
  interfaces: [],
  physical: { address: '0000:3b:00.0', interfaces: ['ens1f0'], index: 1 },
  iommuGroup: { number: '43', others: [] },
};
const candidate: Candidate = { name: 'net1', device, physicalLinks: recorded, hasVfio: true, companions: new Set([address]) };
const beside = (...others: Required<PciDevice>['iommuGroup']['others']): Candidate['device'] => ({
  ...device,
  iommuGroup: { number: '43', others },
});
/** What the physical function tells of function 1. */
const telling = (info: object): readonly PhysicalLink[] =>
  parsePhysicalLinks(JSON.stringify([{ ifname: 'ens1f0', flags: ['UP'], vfinfo_list: [{ vf: 1, ...info }] }]));

describe('a virtual function that a VM can have', () => {
  it('has the VLAN that its physical function tells', () => {
    expect(handedOver(candidate)).toEqual({ pciAddress: address, vlan: 100 });
    expect(handedOver({ ...candidate, physicalLinks: telling({ vlan: 7 }) })).toEqual({ pciAddress: address, vlan: 7 });
  });

  it('has none where none is set', () => {
    const first = { ...device, physical: { ...device.physical, index: 0 } };
    expect(handedOver({ ...candidate, device: first })).toEqual({ pciAddress: address });
    expect(handedOver({ ...candidate, physicalLinks: telling({}) })).toEqual({ pciAddress: address });
  });

  it('is told of by one of several ports', () => {
    const [link] = recorded;
    if (!link) throw new Error('nothing recorded');
    const port: PhysicalLink = { ifname: 'ens1f0r0', flags: [], vfinfo_list: undefined };
    expect(handedOver({ ...candidate, physicalLinks: [port, link] })).toMatchObject({ vlan: 100 });
  });

  it('shares its IOMMU group with bridges, devices without a driver, and functions of the same pod at most', () => {
    const others = [
      { address: '0000:3a:00.0', driver: 'pcieport' },
      { address: '0000:3b:02.2', driver: undefined },
      { address: '0000:3b:02.3', driver: 'vfio-pci' },
      { address: '0000:3b:02.4', driver: 'iavf' },
    ];
    const companions = new Set([address, '0000:3b:02.4']);
    expect(handedOver({ ...candidate, device: beside(...others), companions })).toMatchObject({ pciAddress: address });
  });
});

describe('a virtual function that a VM cannot have', () => {
  const without = ({ iommuGroup: _group, ...rest }: Candidate['device']): Candidate['device'] => rest;
  const down = recorded.map((link) => ({ ...link, flags: ['BROADCAST', 'MULTICAST'] }));

  it.each<[string, Partial<Candidate>, string]>([
    [
      'without an IOMMU',
      { device: without(device) },
      'it has no IOMMU group; switch the IOMMU on in the firmware and the kernel (intel_iommu=on',
    ],
    ['without vfio', { hasVfio: false }, 'the kernel has no driver vfio-pci; run "modprobe vfio-pci" on the node'],
    [
      'in the group of another device',
      { device: beside({ address: '0000:3b:00.0', driver: 'ice' }, { address: '0000:3a:00.0', driver: 'pcieport' }) },
      'its IOMMU group 43 also has 0000:3b:00.0 (ice); use a card and slot with ACS',
    ],
    [
      'whose physical function is elsewhere',
      { physicalLinks: [] },
      "no interface of its physical function 0000:3b:00.0 in the node's network namespace tells of virtual function 1; leave",
    ],
    ['that nobody tells of', { physicalLinks: recorded.map((link) => ({ ...link, vfinfo_list: [] })) }, 'tells of virtual function 1'],
    ['whose physical function is down', { physicalLinks: down }, 'its physical function ens1f0 is down; run "ip link set dev ens1f0 up"'],
    [
      'with a priority',
      { physicalLinks: telling({ vlan_list: [{ vlan: 100, qos: 3 }] }) },
      'libvirt cannot set its VLAN 100 with priority 3 and protocol 802.1Q; use priority 0 and 802.1Q',
    ],
    [
      'with a service tag',
      { physicalLinks: telling({ vlan_list: [{ vlan: 100, protocol: '802.1ad' }] }) },
      'VLAN 100 with priority 0 and protocol 802.1ad',
    ],
  ])('%s is named with its interface, device and the fix', (_what, more, problem) => {
    const refused = (): unknown => handedOver({ ...candidate, ...more });
    expect(refused).toThrow(`its interface net1 is the SR-IOV virtual function ${address}, which a VM cannot have: `);
    expect(refused).toThrow(problem);
  });
});

it.each(['', '{}', '[{"ifname":"ens1f0"}]', '[{"ifname":"ens1f0","flags":[],"vfinfo_list":[{"vf":"one"}]}]'])(
  'what `ip` does not print is not understood: %s',
  (text) => {
    expect(() => parsePhysicalLinks(text)).toThrow(Error);
  },
);

describe('the way back of a virtual function', () => {
  const out = { isInPod: false, rebinding: 'allowed' as const };
  it.each([
    ['that is there', { ...out, isInPod: true, device: { driver: 'iavf', interfaces: [] } }, { action: 'done' }],
    ['whose device is gone', { ...out, device: undefined }, { action: 'forget' }],
    ['that libvirt has given back', { ...out, device: { driver: 'iavf', interfaces: ['ens1f0v1'] } }, { action: 'move', from: 'ens1f0v1' }],
    ['that vfio-pci still has', { ...out, device: { driver: 'vfio-pci', interfaces: [] } }, { action: 'rebind' }],
    ['that no driver has', { ...out, device: { driver: undefined, interfaces: [] } }, { action: 'rebind' }],
    ['whose driver has been asked', { ...out, rebinding: 'asked', device: { driver: undefined, interfaces: [] } }, { action: 'wait' }],
    ['that libvirt gives back now', { ...out, rebinding: 'never', device: { driver: undefined, interfaces: [] } }, { action: 'wait' }],
    ['that libvirt has left', { ...out, rebinding: 'never', device: { driver: 'vfio-pci', interfaces: [] } }, { action: 'leave' }],
    ['that vfio-pci gives up', { ...out, rebinding: 'asked', device: { driver: 'vfio-pci', interfaces: [] } }, { action: 'wait' }],
    ['whose driver has no interface yet', { ...out, device: { driver: 'iavf', interfaces: [] } }, { action: 'wait' }],
  ] as const)('%s', (_what, where, step) => {
    expect(returnStep(where)).toEqual(step);
  });
});
