import { describe, expect, it } from 'vitest';
import { domainXml } from '../../../src/hypervisor/domain-xml.ts';
import type { HostFacts } from '../../../src/hypervisor/host-facts.ts';
import type { VmInterface, VmSpec } from '../../../src/hypervisor/vm-spec.ts';
import { expectGolden } from '../../lib/golden.ts';
import { sampleIdentity } from './samples.ts';

const tcg: HostFacts = { accelerator: 'qemu', emulator: '/usr/bin/qemu-system-x86_64', machine: 'pc-q35-7.2', vhostNet: false };
const kvm: HostFacts = { ...tcg, accelerator: 'kvm', vhostNet: true };

const spec: VmSpec = {
  name: 'vmlet-0123456789ab',
  uuid: '01234567-89ab-4cde-8f01-23456789abcd',
  identity: sampleIdentity,
  vcpus: 2,
  memoryMiB: 416,
  uid: 1_500_000_007,
  gid: 106,
  rootDisk: { path: '/var/lib/vmlet/vms/0123456789ab/root.qcow2', base: { path: '/var/lib/vmlet/images/blobs/abc', format: 'qcow2' } },
  seedPath: '/var/lib/vmlet/vms/0123456789ab/seed.iso',
  interfaces: [{ kind: 'tap', tap: 't0123456789abc', mac: '02:42:0a:00:00:02', mtu: 1450, queues: 2 }],
  reportSocketPath: '/run/vmlet/vms/0123456789ab/report.sock',
  console: { socketPath: '/run/vmlet/vms/0123456789ab/console.sock', logPath: '/var/lib/vmlet/vms/0123456789ab/console.log' },
};

describe('domainXml', () => {
  it('of a VM that is emulated', () => {
    expectGolden('hypervisor/tcg.xml', domainXml(spec, tcg, 'none'));
  });

  it('of a VM with KVM, a raw base, and a file system without O_DIRECT', () => {
    const raw: VmSpec = { ...spec, rootDisk: { ...spec.rootDisk, base: { path: '/var/lib/vmlet/images/blobs/raw', format: 'raw' } } };
    expectGolden('hypervisor/kvm.xml', domainXml(raw, kvm, 'writeback'));
  });

  it('has four free root ports, however many interfaces', () => {
    const [nic] = spec.interfaces;
    if (!nic) throw new Error('a sample without an interface');
    const ports = (xml: string): number => xml.split('model="pcie-root-port"').length - 1;
    expect(ports(domainXml({ ...spec, interfaces: [nic, nic, nic] }, tcg, 'none')) - ports(domainXml(spec, tcg, 'none'))).toBe(2);
    expect(ports(domainXml({ ...spec, interfaces: [] }, tcg, 'none'))).toBe(5 + 4);
  });

  it('gives interfaces slots by their order alone, and leaves one queue unsaid', () => {
    const [nic] = spec.interfaces;
    if (!nic) throw new Error('a sample without an interface');
    const one: VmInterface = { kind: 'tap', tap: 't0123456789abc1', mac: '02:42:0a:00:00:03', mtu: 1500, queues: 1 };
    const xml = domainXml({ ...spec, interfaces: [nic, one, nic] }, tcg, 'none');
    const slots = [...xml.matchAll(/<address type="pci" domain="0x0000" bus="(0x[0-9a-f]+)"/g)].map(([, bus]) => bus);
    expect(slots).toEqual(['0x01', '0x02', '0x03']);
    expect([...xml.matchAll(/<driver name="qemu" queues="2">/g)]).toHaveLength(2);
    expect([...xml.matchAll(/<driver name="qemu">/g)]).toHaveLength(1);
  });

  it('hands a virtual function over with its MAC and VLAN, in the slot of its place', () => {
    const mac = '02:42:0a:00:00:03';
    const functions: readonly VmInterface[] = [
      { kind: 'device', mac, pciAddress: '0000:3b:02.1', vlan: 100 },
      { kind: 'device', mac, pciAddress: '10000:e1:1f.7' },
    ];
    const xml = domainXml({ ...spec, interfaces: [...spec.interfaces, ...functions] }, kvm, 'none');
    expectGolden('hypervisor/virtual-functions.xml', `${xml.slice(xml.indexOf('<interface'), xml.indexOf('<serial')).trim()}\n`);
  });

  it('escapes what a user wrote, and refuses what XML cannot carry, by the field’s name', () => {
    const named = (podName: string): string => domainXml({ ...spec, identity: { ...spec.identity, podName } }, tcg, 'none');
    expect(named('<a>&"')).toContain('<vmlet:podName>&lt;a&gt;&amp;"</vmlet:podName>');
    for (const bad of ['a\u0000', 'a\ud800', 'a\nb', 'a\ufffe']) expect(() => named(bad)).toThrow(/podName/);
  });
});
