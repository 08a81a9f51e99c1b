import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, soon, type TestNode } from './node.ts';

const state = z.object({
  address: z.array(
    z.object({
      address: z.string(),
      mtu: z.int(),
      master: z.string().optional(),
      flags: z.array(z.string()),
      addr_info: z.array(z.object({ local: z.string(), prefixlen: z.int(), scope: z.string(), noprefixroute: z.boolean().optional() })),
    }),
  ),
  routes4: z.array(z.record(z.string(), z.unknown())),
  routes6: z.array(z.record(z.string(), z.unknown())),
});

/** What two calls of the double saw of the interface, without the order of lists. */
function seenBy(node: TestNode): readonly unknown[] {
  const sorted = (values: readonly unknown[]): readonly string[] => values.map((value) => JSON.stringify(value)).toSorted();
  return node.calls().map((call) => {
    const { address, routes4, routes6 } = state.parse(call.state);
    return {
      command: call.command,
      links: address.map(({ addr_info, ...link }) => ({ ...link, addresses: sorted(addr_info) })),
      routes4: sorted(routes4),
      routes6: sorted(routes6),
    };
  });
}

const ipam = (node: TestNode): object => ({
  type: 'host-local',
  dataDir: join(node.dir, 'ipam'),
  ranges: [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '192.0.2.0/24', gw: '10.213.7.1' }, { dst: '::/0' }],
});

describe('before DEL', () => {
  it.each(['bridge', 'ptp'])('the interface of %s is as ADD left it, and no iptables line stays', async (type) => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node, { type, mtu: 1400, ipam: ipam(node) }), double]);
    const network = await node.open();
    const wanted = request();
    const attachment = await network.attach(wanted, soon());
    expect(attachment.ips).toEqual(['10.213.7.2', 'fd00:213:7::2']);
    expect(node.traces().iptables.length).toBeGreaterThan(0);
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(run('nsenter', `--net=${attachment.netnsPath}`, 'ip', '-br', 'address', 'show', 'dev', 'eth0')).not.toContain('10.213');
    await network.detach(wanted.sandboxId, soon());
    const [added, deleted] = seenBy(node);
    expect(deleted).toEqual({ ...(added as object), command: 'DEL' });
    expect(node.traces()).toEqual(nothing);
  });

  it('addresses and routes of rare kinds are there again', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node, { ipMasq: false }), { ...double, onAdd: 'rare' }, double]);
    const network = await node.open();
    const wanted = request();
    const attachment = await network.attach(wanted, soon());
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    await network.detach(wanted.sandboxId, soon());
    const [, added, deleted] = seenBy(node);
    expect(JSON.stringify(added)).toContain('10.69.0.0/16');
    expect(deleted).toEqual({ ...(added as object), command: 'DEL' });
  });

  it('plugins get the configuration and the result of ADD, whatever the directory holds now', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal, capabilities: { portMappings: true, dns: true } };
    node.configure([bridgePlugin(node), double]);
    const wanted = request({
      portMappings: [
        { protocol: 'UDP', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' },
        { protocol: 'TCP', containerPort: 80, hostPort: 0, hostIp: '' },
      ],
    });
    await (await node.open()).attach(wanted, soon());
    node.configure([{ type: 'nothing-like-it' }]);
    await (await node.open()).detach(wanted.sandboxId, soon());
    const [added, deleted] = node.calls();
    const shared = {
      name: 'testnet',
      cniVersion: '1.0.0',
      type: 'double',
      runtimeConfig: {
        portMappings: [{ hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' }],
        dns: wanted.dns,
      },
      prevResult: { ips: [{ address: '10.213.7.2/24', gateway: '10.213.7.1' }] },
    };
    expect(added).toMatchObject({ command: 'ADD', input: shared });
    expect(deleted).toMatchObject({ command: 'DEL', input: shared });
    expect(deleted?.input).not.toHaveProperty('capabilities');
    expect(deleted?.env).toEqual({ ...added?.env, CNI_COMMAND: 'DEL' });
    expect(added?.env).toMatchObject({
      CNI_CONTAINERID: wanted.sandboxId,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${wanted.sandboxId};K8S_POD_UID=f0a1`,
    });
  });

  it.each(['0.3.1', '0.4.0', '1.0.0'])('plugins that speak %s get what that version has', async (version) => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal }], undefined, version);
    const network = await node.open();
    const wanted = request();
    expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
    await network.detach(wanted.sandboxId, soon());
    const [added, deleted] = node.calls();
    expect(added?.input['prevResult']).toMatchObject({ cniVersion: version, ips: [{ address: '10.213.7.2/24' }] });
    expect(deleted?.input['prevResult']).toEqual(version === '0.3.1' ? undefined : added?.input['prevResult']);
    expect(node.traces()).toMatchObject({ iptables: [], leases: [], records: [], cached: [] });
  });

  it('a namespace that is gone does not keep the address', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node, { ipMasq: false }), { type: 'double', journal: node.journal }]);
    const network = await node.open();
    const wanted = request();
    const attachment = await network.attach(wanted, soon());
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    run('umount', '--lazy', attachment.netnsPath);
    run('rm', attachment.netnsPath);
    expect(await network.isAlive(wanted.sandboxId)).toBe(false);
    expect(node.traces().leases).toEqual(['10.213.7.2']);
    await network.detach(wanted.sandboxId, soon());
    expect(node.calls().at(-1)?.env['CNI_NETNS']).toBe('');
    expect(node.traces()).toMatchObject({ namespaces: [], iptables: [], leases: [], records: [], cached: [], processes: [] });
  });

  it('in a namespace that is gone, a plugin leaves what it leaves when it is called by hand', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const { netnsPath } = await network.attach(wanted, soon());
    run('umount', '--lazy', netnsPath);
    run('rm', netnsPath);
    await network.detach(wanted.sandboxId, soon());
    const ours = countIn(node);

    const byHand = join(node.dir, 'by-hand');
    writeFileSync(byHand, '');
    run('unshare', `--net=${byHand}`, 'true');
    const plugin = (command: 'ADD' | 'DEL', netns: string, more: object = {}): unknown => {
      const env = {
        ...process.env,
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'by-hand',
        CNI_NETNS: netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: node.binDir,
      };
      const input = JSON.stringify({ cniVersion: '1.0.0', name: 'testnet', ...bridgePlugin(node), ...more });
      const text = execFileSync(join(node.binDir, 'bridge'), { env, input, encoding: 'utf8' });
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    };
    const prevResult = plugin('ADD', byHand);
    run('umount', '--lazy', byHand);
    run('rm', byHand);
    plugin('DEL', '', { prevResult });
    const both = countIn(node);
    expect({ leases: both.leases, rules: both.rules }).toEqual({ leases: 0, rules: 2 * ours.rules });
    expect(ours.leases).toBe(0);
  });
});

/** Addresses that are taken, and rules of the packet filter. */
function countIn(node: TestNode): { readonly leases: number; readonly rules: number } {
  const { leases, iptables } = node.traces();
  return { leases: leases.length, rules: iptables.length };
}
