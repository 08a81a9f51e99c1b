import { describe, expect, it } from 'vitest';
import { nthTap } from '../../../src/model/container.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, serverPid, soon, type TestGuest, type TestNode } from './node.ts';

/** Two networks: the pod's default one, and one with a route of its own and a smaller MTU. */
function twoNetworks(node: TestNode, more: object = {}): object {
  const second = {
    name: 'testnet',
    bridge: 'cni-test2',
    ipMasq: false,
    isGateway: false,
    mtu: 1400,
    ipam: {
      type: 'host-local',
      dataDir: `${node.dir}/ipam`,
      ranges: [[{ subnet: '10.213.8.0/24' }], [{ subnet: 'fd00:213:8::/64' }]],
      routes: [{ dst: '10.99.0.0/16', gw: '10.213.8.1' }],
    },
  };
  return {
    type: 'several',
    delegates: [
      { name: 'testnet', ...bridgePlugin(node) },
      { ...bridgePlugin(node), ...second },
    ],
    ...more,
  };
}

/** A VM with two interfaces, as two guests. */
function twoGuests(node: TestNode, macs: readonly string[]): readonly [TestGuest, TestGuest] {
  const first = makeGuest(node, macs[0] ?? '');
  return [first, makeGuest(node, macs[1] ?? '', nthTap(first.tap, 1))];
}

const addressesOf = ({ inside }: TestGuest): string => inside('ip', '-br', 'address', 'show', 'dev', 'g0');

describe.each(['all', 'default'])('two interfaces, of which the result tells %s', (tell) => {
  it('each get their own bridge, address, routes and MTU, and are given back', async () => {
    const node = makeNode();
    node.configure([twoNetworks(node, { tell })]);
    const network = await node.open();
    const wanted = request();
    const { interfaces, ips, netnsPath } = await network.attach(wanted, soon());
    expect(
      interfaces.map(({ name, mtu, addresses, routes }) => ({ name, mtu, addresses: addresses.map(({ cidr }) => cidr), routes })),
    ).toEqual([
      { name: 'eth0', mtu: 1500, addresses: ['10.213.7.2/24'], routes: [{ destination: '0.0.0.0/0', gateway: '10.213.7.1' }] },
      {
        name: 'net1',
        mtu: 1400,
        addresses: ['10.213.8.2/24', 'fd00:213:8::2/64'],
        routes: [{ destination: '10.99.0.0/16', gateway: '10.213.8.1' }],
      },
    ]);
    expect(ips).toEqual(['10.213.7.2']);

    const [first, second] = twoGuests(
      node,
      interfaces.map(({ mac }) => mac),
    );
    await network.joinTap(wanted.sandboxId, first.tap, soon());
    expect(first.dhcp()).toMatchObject({ ip: '10.213.7.2', router: '10.213.7.1', dns: '10.96.0.10', mtu: '1500' });
    const lease = second.dhcp();
    expect(lease).toMatchObject({ ip: '10.213.8.2', mtu: '1400', staticroutes: '10.99.0.0/16 10.213.8.1' });
    expect(lease).not.toHaveProperty('router');
    expect(lease).not.toHaveProperty('dns');
    expect(addressesOf(second)).toContain('10.213.8.2/24');
    first.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.7.1');
    node.inside('ip', 'address', 'add', '10.213.8.1/24', 'dev', 'cni-test2');
    second.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.8.1');
    expect(node.traces().processes).toHaveLength(1);
    expect(
      (await network.counters(wanted.sandboxId))?.map(({ name, rxPackets, txPackets }) => [name, rxPackets > 0, txPackets > 0]),
    ).toEqual([
      ['eth0', true, true],
      ['net1', true, true],
    ]);

    await network.removeTap(wanted.sandboxId, first.tap, soon());
    for (const { tap } of [first, second])
      expect(() => run('nsenter', `--net=${netnsPath}`, 'ip', 'link', 'show', 'dev', tap)).toThrow(/does not exist/);
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });
});

it('a next VM of the pod gets both again', async () => {
  const node = makeNode();
  node.configure([twoNetworks(node)]);
  const network = await node.open();
  const { sandboxId } = request();
  const { interfaces } = await network.attach(request({ sandboxId }), soon());
  const macs = interfaces.map(({ mac }) => mac);
  const [old] = twoGuests(node, macs);
  await network.joinTap(sandboxId, old.tap, soon());
  await network.removeTap(sandboxId, old.tap, soon());
  const again = await node.open();
  await again.recover(new Map([[sandboxId, undefined]]), soon());
  const [first, second] = twoGuests(node, macs);
  await again.joinTap(sandboxId, first.tap, soon());
  expect([first.dhcp()?.['ip'], second.dhcp()?.['ip']]).toEqual(['10.213.7.2', '10.213.8.2']);
  expect(await serverPid(node, sandboxId)).toBeGreaterThan(1);
  await again.detach(sandboxId, soon());
  expect(node.traces()).toEqual(nothing);
});

it('makes all taps of a VM, with as many queues as it has', async () => {
  const node = makeNode();
  node.configure([twoNetworks(node)]);
  const network = await node.open();
  const { sandboxId } = request();
  const { netnsPath } = await network.attach(request({ sandboxId }), soon());
  const tap = `tg${sandboxId.slice(0, 8)}`;
  for (const uid of [4711, 4712]) await network.makeTap({ tap, interfaces: [{}, {}], uid, queues: 4 }, soon());
  for (const name of [tap, `${tap}1`]) {
    const made = run('ip', '-details', 'link', 'show', 'dev', name);
    for (const word of ['user 4712', 'vnet_hdr on', 'multi_queue', 'state DOWN']) expect(made).toContain(word);
  }
  await network.joinTap(sandboxId, tap, soon());
  const show = (name: string): string => run('nsenter', `--net=${netnsPath}`, 'ip', '-details', 'link', 'show', 'dev', name);
  expect(show(tap)).toMatch(/mtu 1500 .*master vmlet0/);
  expect(show(`${tap}1`)).toMatch(/mtu 1400 .*master vmlet1/);
  await network.detach(sandboxId, soon());
  expect(node.traces()).toMatchObject({ namespaces: [], leases: [], records: [], processes: [], cached: [] });
});

describe('a macvlan', () => {
  it('is taken over, and given back', async () => {
    const node = makeNode();
    for (const line of [
      'link add name lower type bridge',
      'link set dev lower up',
      'link add name beside link lower type macvlan mode bridge',
    ])
      node.inside('ip', ...line.split(' '));
    for (const line of ['address add 10.213.9.1/24 dev beside', 'link set dev beside up']) node.inside('ip', ...line.split(' '));
    const ranges = [[{ subnet: '10.213.9.0/24', rangeStart: '10.213.9.20' }]];
    const ipam = { type: 'host-local', dataDir: `${node.dir}/ipam`, ranges, routes: [{ dst: '0.0.0.0/0', gw: '10.213.9.1' }] };
    node.configure([
      { type: 'macvlan', master: 'lower', mode: 'bridge', mtu: 1400, ipam },
      { type: 'double', journal: node.journal },
    ]);
    const network = await node.open();
    const { sandboxId } = request();
    const { interfaces } = await network.attach(request({ sandboxId }), soon());
    expect(interfaces[0]).toMatchObject({ name: 'eth0', mtu: 1400, addresses: [{ cidr: '10.213.9.20/24' }] });
    const mac = interfaces[0]?.mac ?? '';
    for (let start = 0; start < 2; start++) {
      const guest = makeGuest(node, mac);
      await network.joinTap(sandboxId, guest.tap, soon());
      expect(guest.dhcp()).toMatchObject({ ip: '10.213.9.20', router: '10.213.9.1', mtu: '1400' });
      guest.inside('busybox', 'ping', '-c', '2', '-W', '5', '10.213.9.1');
      node.inside('ip', 'neighbour', 'flush', 'dev', 'beside');
      node.inside('busybox', 'ping', '-c', '2', '-W', '5', '10.213.9.20');
      await network.removeTap(sandboxId, guest.tap, soon());
    }
    await network.detach(sandboxId, soon());
    const stateOf = (call: { readonly state?: unknown } | undefined): unknown => JSON.parse(JSON.stringify(call?.state));
    const [added, deleted] = node.calls();
    expect(stateOf(deleted)).toEqual(stateOf(added));
    expect(node.traces()).toEqual({ ...nothing, links: ['beside', 'lo', 'lower'] });
  });
});
