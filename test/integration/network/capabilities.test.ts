import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { VmletError } from '../../../src/model/errors.ts';
import { bridgePlugin, makeGuest, makeNode, request, soon, type TestNode } from './node.ts';

const qdiscs = z.array(
  z.looseObject({ kind: z.string(), options: z.looseObject({ rate: z.number().default(0), burst: z.number().default(0) }) }),
);
const nothing = { namespaces: [], iptables: [], leases: [], records: [], cached: [], processes: [] };

/** IPAM of both families. */
function bothFamilies(node: TestNode): object {
  const ranges = [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]];
  return { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] };
}

/** How an ADD failed: its facts, and what a kubelet is told. */
async function failureOf(attached: Promise<unknown>): Promise<{ readonly facts: unknown; readonly message: string }> {
  try {
    await attached;
  } catch (error) {
    if (error instanceof VmletError) return { facts: error.facts, message: error.message };
    throw error;
  }
  throw new Error('the pod got what it asked for');
}

describe('addresses by annotation', () => {
  it('are what host-local gives, of both families, one pod at a time', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node, { ipam: bothFamilies(node), capabilities: { ips: true } })]);
    const network = await node.open();
    const annotations = { 'vmlet.dev/ips': '10.213.7.77/24, fd00:213:7::77' };
    const [first, second] = [request({ annotations }), request({ annotations })];
    const attachment = await network.attach(first, soon());
    expect(attachment.ips).toEqual(['10.213.7.77', 'fd00:213:7::77']);
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(first.sandboxId, guest.tap, soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.77');

    const before = node.traces();
    const { facts, message } = await failureOf(network.attach(second, soon()));
    expect(facts).toMatchObject({ code: 'CNI_FAILED', plugin: 'bridge' });
    expect(message).toMatch(/^CNI plugin bridge, ADD: error [0-9]+: .*10\.213\.7\.77/);
    expect(message).toMatch(/not available|duplicate allocation/);
    expect(node.traces()).toEqual(before);
    await network.detach(first.sandboxId, soon());
    expect((await network.attach(second, soon())).ips).toEqual(['10.213.7.77', 'fd00:213:7::77']);
    await network.detach(second.sandboxId, soon());
    expect(node.traces()).toMatchObject(nothing);
  });

  it('outside the range are refused in the plugin’s words', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node, { capabilities: { ips: true } })]);
    const network = await node.open();
    const wanted = request({ annotations: { 'vmlet.dev/ips': '192.0.2.7' } });
    const { message } = await failureOf(network.attach(wanted, soon()));
    expect(message).toContain('CNI plugin bridge, ADD: ');
    expect(message).toContain('192.0.2.7');
    expect(node.traces()).toMatchObject(nothing);
  });

  it('are what the static plugin gives, with their prefix length', async () => {
    const node = makeNode();
    const ipam = { type: 'static', routes: [{ dst: '0.0.0.0/0', gw: '10.213.7.1' }] };
    node.configure([bridgePlugin(node, { isGateway: false, ipam, capabilities: { ips: true } })]);
    const network = await node.open();
    const wanted = request({ annotations: { 'vmlet.dev/ips': '10.213.7.9/24' } });
    const { interfaces } = await network.attach(wanted, soon());
    expect(interfaces[0]).toMatchObject({
      addresses: [{ cidr: '10.213.7.9/24' }],
      routes: [{ destination: '0.0.0.0/0', gateway: '10.213.7.1' }],
    });
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toMatchObject(nothing);
  });
});

describe('a MAC by annotation', () => {
  const mac = '52:54:00:ab:cd:01';
  it.each<readonly [string, (node: TestNode) => readonly object[]]>([
    ['bridge', (node) => [bridgePlugin(node, { capabilities: { mac: true } })]],
    ['tuning', (node) => [bridgePlugin(node), { type: 'tuning', dataDir: join(node.dir, 'tuning'), capabilities: { mac: true } }]],
    [
      'macvlan',
      (node) => {
        for (const line of ['link add name lower type bridge', 'link set dev lower up']) node.inside('ip', ...line.split(' '));
        return [{ ...bridgePlugin(node, { type: 'macvlan' }), master: 'lower', mode: 'bridge', capabilities: { mac: true } }];
      },
    ],
  ])('by %s is the guest’s, and what the plugin finds at DEL', async (_plugin, plugins) => {
    const node = makeNode();
    node.configure([...plugins(node), { type: 'double', journal: node.journal }]);
    const network = await node.open();
    const wanted = request({ annotations: { 'vmlet.dev/mac': mac.toUpperCase() } });
    const { interfaces } = await network.attach(wanted, soon());
    expect(interfaces[0]?.mac).toBe(mac);
    const guest = makeGuest(node, mac);
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(wanted.sandboxId, soon());
    const [added, deleted] = node.calls();
    const asAdded = { address: [{ address: mac, addr_info: expect.arrayContaining([expect.objectContaining({ local: '10.213.7.2' })]) }] };
    expect([added?.state, deleted?.state]).toMatchObject([asAdded, asAdded]);
    expect(node.traces()).toMatchObject(nothing);
  });
});

it('a bandwidth is two shapers on the node’s side', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node), { type: 'bandwidth', capabilities: { bandwidth: true } }]);
  const network = await node.open();
  const annotations = { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '80M' };
  const wanted = request({ annotations });
  await network.attach(wanted, soon());
  const shapers = qdiscs.parse(JSON.parse(node.inside('tc', '-json', 'qdisc', 'show'))).filter(({ kind }) => kind === 'tbf');
  const limits = shapers.map(({ options }) => options).toSorted((one, other) => one.rate - other.rate);
  expect(limits).toMatchObject([
    { rate: 1_000_000, burst: 100_000 }, // bytes
    { rate: 10_000_000, burst: 1_000_000 },
  ]);
  await network.detach(wanted.sandboxId, soon());
  expect(node.traces()).toMatchObject({ ...nothing, links: ['lo'] });
});

it('DNS, aliases and annotations reach the plugins that declare them, as they are', async () => {
  const node = makeNode();
  const double = (...names: readonly string[]): object => ({
    type: 'double',
    journal: node.journal,
    capabilities: Object.fromEntries(names.map((name) => [name, true])),
  });
  node.configure([bridgePlugin(node), double('dns', 'aliases'), double('io.kubernetes.cri.pod-annotations')]);
  const network = await node.open();
  const annotations = { 'vmlet.dev/aliases': 'db, primary-db', 'example.com/note': 'line 1\nline "2"' };
  const wanted = request({ annotations });
  await network.attach(wanted, soon());
  await network.detach(wanted.sandboxId, soon());
  const told = node.calls().map(({ command, input }) => [command, input['runtimeConfig']]);
  const first = { dns: wanted.dns, aliases: ['db', 'primary-db'] };
  const second = { 'io.kubernetes.cri.pod-annotations': annotations };
  expect(told).toEqual([
    ['ADD', first],
    ['ADD', second],
    ['DEL', second],
    ['DEL', first],
  ]);
});
