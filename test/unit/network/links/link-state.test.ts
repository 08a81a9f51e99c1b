import { describe, expect, it } from 'vitest';
import { cidrsOf, linkStateSchema, parseLinkState, parseLinkStates, whyNotBridgeable } from '../../../../src/network/links/link-state.ts';
import { recordedState, stateOf, toldState } from './link-states.ts';

describe('parseLinkState', () => {
  it('reads what the bridge plugin leaves, without what the kernel makes by itself', () => {
    const state = stateOf('bridge');
    expect(state).toMatchObject({
      name: 'eth0',
      kind: 'veth',
      linkType: 'ether',
      mac: 'da:8f:57:ab:e1:b2',
      mtu: 1400,
      ipv6Disabled: false,
    });
    expect(state.addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`)).toEqual(['10.213.7.2/24', 'fd00:213:7::2/64']);
    expect(state.routes.map(({ family, dst, gateway = '-', protocol }) => `${family} ${dst} ${gateway} ${protocol}`)).toEqual([
      '4 default 10.213.7.1 boot',
      '4 10.213.7.0/24 - kernel',
      '4 192.0.2.0/24 10.213.7.1 boot',
      '6 fd00:213:7::/64 - kernel',
      '6 default fd00:213:7::1 boot',
    ]);
  });

  it('leaves out addresses and routes that come back by themselves', () => {
    const address = { family: 'inet6', local: 'fd00::5', prefixlen: 64, scope: 'global' };
    const state = parseLinkState(
      toldState({
        link: { addr_info: [{ ...address, dynamic: true }, { ...address, local: 'fe80::5', scope: 'link' }, address] },
        routes6: [
          { dst: 'default', gateway: 'fe80::1', protocol: 'ra' },
          { dst: 'fe80::/64', protocol: 'kernel' },
          { type: 'unreachable', dst: 'fd00:9::/64' },
          { dst: 'fd00::5', table: 'local' },
          { dst: 'fd00:1::/64', table: 100 },
        ],
      }),
    );
    expect(state.addresses).toHaveLength(1);
    expect(state.routes).toEqual([{ dst: 'fd00:1::/64', table: 100, family: 6 }]);
  });

  it.each([
    ['0', false],
    ['1', true],
    ['1 ', true],
  ])('reads disable_ipv6 "%s"', (disabled, expected) => {
    expect(parseLinkState(toldState({ disabled })).ipv6Disabled).toBe(expected);
  });

  it.each([
    ['pci', '0000:3b:02.1', '0000:3b:02.1'],
    ['virtio', 'virtio2', undefined],
    ['auxiliary', 'mlx5_core.sf.4', undefined],
    [undefined, undefined, undefined],
  ])('has the PCI address of a device on the bus %s, %s', (parentbus, parentdev, pciAddress) => {
    const state = parseLinkState(toldState({ link: { parentbus, parentdev } }));
    expect(state.pciAddress).toBe(pciAddress);
    expect(linkStateSchema.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
  });

  it('has no MAC where the interface has none', () => {
    expect(parseLinkState(toldState({ link: { address: undefined, link_type: 'none' } })).mac).toBe('');
  });

  it('is what a record takes and gives back', () => {
    for (const plugin of ['bridge', 'ptp', 'calico']) {
      const state = stateOf(plugin);
      expect(linkStateSchema.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
    }
  });

  it('reads routes of a kernel that has no IPv6', () => {
    const [disabled, address, routes4] = recordedState('bridge').split('\n');
    expect(parseLinkState([disabled, address, routes4, ''].join('\n')).routes.every(({ family }) => family === 4)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['no link', '0\n[]\n[]\n[]'],
    ['half a document', recordedState('bridge').slice(0, 200)],
    ['a link without addresses', '0\n[{"ifname": "eth0", "link_type": "ether", "mtu": 1500}]\n[]\n[]'],
    ['a link with a mtu in words', toldState({ link: { mtu: 'large' } })],
  ])('throws for %s', (_what, text) => {
    expect(() => parseLinkState(text)).toThrow(Error);
  });
});

describe('whyNotBridgeable', () => {
  it.each([
    ['veth', 'ether', undefined],
    ['', 'ether', undefined],
    ['tun', 'ether', undefined],
    ['ipvlan', 'ether', 'it made an interface of type ipvlan'],
    ['ipvtap', 'ether', 'it made an interface of type ipvtap'],
    ['macvlan', 'ether', undefined],
    ['macvtap', 'ether', 'it made an interface of type macvtap'],
    ['tun', 'none', 'it made an interface of type none, not an Ethernet one: eth0'],
    ['', 'infiniband', 'it made an interface of type infiniband, not an Ethernet one: eth0'],
  ])('of kind "%s" and type %s: %s', (kind, linkType, expected) => {
    const why = whyNotBridgeable({ ...stateOf('bridge'), kind, linkType });
    expect(why?.split(/; |, which/)[0]).toBe(expected);
    expect(why === undefined || why.includes('use a plugin that makes a veth pair')).toBe(true);
  });
});

it('reads several interfaces in the order in which they were made', () => {
  const text = [
    toldState({ link: { ifname: 'net1', ifindex: 7 } }),
    toldState({ link: { ifname: 'eth0', ifindex: 3 }, disabled: '1' }),
    toldState({ link: { ifname: 'net0', ifindex: 5 } }),
  ].join('\n\n');
  expect(parseLinkStates(text).map(({ name, ipv6Disabled }) => [name, ipv6Disabled])).toEqual([
    ['eth0', true],
    ['net0', false],
    ['net1', false],
  ]);
  expect(parseLinkStates('')).toEqual([]);
});

it('takes a point-to-point address by its other end', () => {
  const addr_info = [
    { family: 'inet', local: '10.0.0.1', address: '10.0.9.0', prefixlen: 24, scope: 'global' },
    { family: 'inet', local: '10.0.0.2', prefixlen: 16, scope: 'global' },
  ];
  expect(
    cidrsOf(parseLinkState(toldState({ link: { addr_info } }))).map(({ address, prefixLength }) => `${address}/${prefixLength}`),
  ).toEqual(['10.0.9.0/24', '10.0.0.2/16']);
});
