import { describe, expect, it } from 'vitest';
import type { LinkState } from '../../../../src/network/links/link-state.ts';
import { podLinks, withDevices, type AddedPod } from '../../../../src/network/links/pod-links.ts';

const netnsPath = '/run/netns/vmlet-1';
const link = (name: string, more: Partial<LinkState> = {}): LinkState => ({
  name,
  kind: 'veth',
  linkType: 'ether',
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  ipv6Disabled: false,
  addresses: [],
  routes: [],
  ...more,
});
const at = (name: string, sandbox = netnsPath): object => ({ name, sandbox });
const pod = (states: readonly LinkState[], result: object = { interfaces: [at('eth0')] }): AddedPod => ({
  ifName: 'eth0',
  netnsPath,
  result: { ...result },
  addresses: [{ cidr: '10.1.0.5/24' }],
  states,
  functions: new Map(),
});
const namesOf = (of: AddedPod): readonly string[] => podLinks(of).interfaces.map(({ name }) => name);

describe('the interfaces of a pod', () => {
  it('come in the order of the result, the one that was asked for first, then what it does not name by name', () => {
    const states = ['net10', 'net3', 'net2', 'eth0', 'net1'].map((name) => link(name));
    const interfaces = [at('cni0', ''), at('net2'), at('veth1', ''), at('eth0'), at('elsewhere', '/run/netns/other'), at('net2')];
    expect(namesOf(pod(states, { interfaces }))).toEqual(['eth0', 'net2', 'net1', 'net3', 'net10']);
  });

  it('are not devices of other kinds that the result does not name', () => {
    const states = [link('eth0'), link('br1', { kind: 'bridge' }), link('dummy0', { kind: 'dummy' }), link('wg0', { kind: 'wireguard' })];
    expect(namesOf(pod(states))).toEqual(['eth0']);
    expect(podLinks(pod(states)).left.map(({ name }) => name)).toEqual(['br1', 'dummy0', 'wg0']);
    expect(namesOf(pod(states, { interfaces: [at('eth0'), at('br1')] }))).toEqual(['eth0', 'br1']);
  });

  it('have the addresses of the result by its index, else their own', () => {
    const own = { family: 'inet' as const, local: '10.7.0.2', prefixlen: 16, scope: 'global' };
    const states = [link('eth0'), link('net1', { addresses: [own] }), link('net2', { addresses: [own] })];
    const ips = [
      { address: '10.1.0.5/24', interface: 0 },
      { address: '10.6.0.2/32', gateway: '10.6.0.1', interface: 1 },
    ];
    const { interfaces } = podLinks(pod(states, { interfaces: [at('eth0'), at('net1')], ips }));
    expect(interfaces.map(({ addresses }) => addresses)).toEqual([
      [{ cidr: '10.1.0.5/32' }],
      [{ cidr: '10.6.0.2/32', gateway: '10.6.0.1' }],
      [{ cidr: '10.7.0.2/32' }],
    ]);
  });

  it('have the one default route that the kernel prefers, for each family', () => {
    const route = (family: 4 | 6, gateway: string, metric?: number): LinkState['routes'][number] => ({
      family,
      dst: 'default',
      gateway,
      ...(metric === undefined ? {} : { metric }),
    });
    const states = [
      link('eth0', { routes: [route(4, '10.1.0.1', 100), route(6, 'fe80::1')] }),
      link('net1', { routes: [route(4, '10.6.0.1'), route(6, 'fe80::2', 1024)] }),
    ];
    const { interfaces } = podLinks(pod(states));
    expect(interfaces.map(({ routes }) => routes.map(({ gateway }) => gateway))).toEqual([['fe80::1'], ['10.6.0.1']]);
  });

  it('that are virtual functions are told to be', () => {
    const virtualFunction = { pciAddress: '0000:3b:02.1', vlan: 100 };
    const found = podLinks({ ...pod([link('eth0'), link('net1', { kind: '' })]), functions: new Map([['net1', virtualFunction]]) });
    expect(found.interfaces.map((guest) => guest.virtualFunction)).toEqual([undefined, virtualFunction]);
  });

  it.each([
    ['that is missing', pod([link('eth0')], { interfaces: [at('eth0'), at('net1')] }), 'no interface net1 in the pod'],
    ['without the one asked for', pod([link('net1')]), 'no interface eth0 in the pod'],
    ['of ipvlan', pod([link('eth0'), link('net1', { kind: 'ipvlan' })]), /type ipvlan.*: net1; use a plugin that makes a veth pair/],
    ['with a name of two words', pod([link('eth0'), link('net1"')]), 'with the name "net1\\""'],
    ['too many', pod([link('eth0'), ...Array.from({ length: 16 }, (_, index) => link(`net${index}`))]), '17 interfaces'],
  ])('fail with one %s', (_what, of, message) => {
    expect(() => podLinks(of)).toThrow(message);
  });
});

it('the result tells the device of an interface where the kernel does not', () => {
  const states = [link('eth0'), link('net1'), link('net2', { pciAddress: '0000:3b:02.2' }), link('net3'), link('net4')];
  const interfaces = [
    { ...at('net1'), pciID: '0000:3B:02.1' },
    { ...at('net2'), pciID: '0000:3b:02.7' },
    { ...at('net3'), pciID: '../../0000:3b:02.3' },
    { ...at('net4', ''), pciID: '0000:3b:02.4' },
  ];
  expect(withDevices(states, { result: { interfaces }, netnsPath }).map(({ pciAddress }) => pciAddress)).toEqual([
    undefined,
    '0000:3b:02.1',
    '0000:3b:02.2',
    undefined,
    undefined,
  ]);
});
