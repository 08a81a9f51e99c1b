import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, request, run, soon, type TestGuest, type TestNode } from './node.ts';

/** A DHCP server that answers everybody, in a namespace. */
async function startRogueServer(
  node: TestNode,
  where: { readonly netns: string; readonly link: string; readonly range: string },
): Promise<void> {
  const at = (name: string): string => join(node.dir, `rogue-${where.link}.${name}`);
  writeFileSync(at('leases'), '');
  const args = [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    `--pid-file=${at('pid')}`,
    '--port=0',
    '--no-ping',
    '--log-facility=/dev/null',
  ];
  const own = [`--dhcp-range=${where.range}`, `--dhcp-leasefile=${at('leases')}`, `--interface=${where.link}`];
  const rogue = spawn('nsenter', [`--net=${where.netns}`, 'dnsmasq', ...args, ...own], { stdio: 'ignore' });
  onTestFinished(() => void rogue.kill('SIGKILL'));
  const listens = (): boolean => run('nsenter', `--net=${where.netns}`, 'cat', '/proc/net/udp').includes(':0043 ');
  await waitFor(listens, { timeoutMs: 20_000, what: 'the other DHCP server' });
}

/** A client on the node's network, beside the pods. */
function makeStranger(node: TestNode, mac: string): TestGuest {
  const stranger = makeGuest(node, mac);
  run('ip', 'link', 'set', 'dev', stranger.tap, 'netns', node.netns);
  node.inside('ip', 'link', 'set', 'dev', stranger.tap, 'master', 'cni-test', 'up');
  return stranger;
}

it('the server that reads what guests send has few privileges, and gets no others', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const { sandboxId } = request();
  const { interfaces } = await network.attach(request({ sandboxId }), soon());
  await network.joinTap(sandboxId, makeGuest(node, interfaces[0]?.mac ?? '').tap, soon());
  const statusOf = (): string => readFileSync(`/proc/${network.helperPid(sandboxId)}/status`, 'utf8');
  // It gives up root once it listens and has said so.
  await waitFor(() => !/^Uid:\t0/m.test(statusOf()), { timeoutMs: 20_000, what: 'another user than root' });
  const status = statusOf();
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  expect(status).toMatch(/^CapBnd:\t00000000000034c1$/m); // chown, setgid, setuid, net_bind_service, net_admin, net_raw
  await network.detach(sandboxId, soon());
});

describe('DHCP stays on the pod side of the CNI interface', () => {
  it('a server on the node’s network gives the guest nothing, and hears nothing of it', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open(20_000, 60_000, { antiSpoofing: false }); // the filter at the tap would hide what this one does
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    // The very MAC that our server knows: it would be answered if it were heard.
    const stranger = makeStranger(node, interfaces[0]?.mac ?? '');
    const impostor = makeGuest(node, '02:00:00:00:00:77');
    await network.joinTap(wanted.sandboxId, impostor.tap, soon());
    expect(stranger.dhcp()).toBeUndefined();
    await startRogueServer(node, { netns: node.netns, link: 'cni-test', range: '10.213.7.100,10.213.7.200' });
    expect(stranger.dhcp()?.['ip']).toMatch(/^10\.213\.7\.1[0-9]{2}$/);
    expect(impostor.dhcp()).toBeUndefined();
    await network.detach(wanted.sandboxId, soon());
  });

  it('a server in the guest gives nobody else anything', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open(20_000, 60_000, { antiSpoofing: false });
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await startRogueServer(node, { netns: guest.netns, link: 'g0', range: '10.213.7.100,10.213.7.200' });
    const stranger = makeStranger(node, '02:00:00:00:00:78');
    expect(stranger.dhcp()).toBeUndefined();
    await network.detach(wanted.sandboxId, soon());
  });
});

it('has no IPv6 of its own where the guest has', async () => {
  const node = makeNode();
  const ipam = {
    type: 'host-local',
    dataDir: join(node.dir, 'ipam'),
    ranges: [[{ subnet: 'fd00:213:9::/64' }]],
    routes: [{ dst: '::/0' }],
  };
  node.configure([bridgePlugin(node, { ipam })]);
  const network = await node.open();
  const wanted = request();
  const attachment = await network.attach(wanted, soon());
  const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
  await network.joinTap(wanted.sandboxId, guest.tap, soon());
  expect(attachment.ips).toEqual(['fd00:213:9::2']);
  expect(run('nsenter', `--net=${attachment.netnsPath}`, 'ip', '-6', 'address', 'show', 'scope', 'link')).toBe('');
  guest.inside('ip', 'address', 'add', 'fd00:213:9::2/64', 'dev', 'g0', 'nodad');
  await waitFor(() => node.inside('busybox', 'ping6', '-c', '1', '-W', '1', 'fd00:213:9::2') !== '', {
    timeoutMs: 15_000,
    what: 'answer of the guest over IPv6',
  });
  await network.detach(wanted.sandboxId, soon());
  expect(node.traces()).toMatchObject({ iptables: [], leases: [], namespaces: [] });
});

it('leaves bridged frames to the node, not to iptables of the pod', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const wanted = request();
  const { netnsPath, interfaces } = await network.attach(wanted, soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  await network.joinTap(wanted.sandboxId, guest.tap, soon());
  const inside = (...argv: readonly string[]): string => run('nsenter', `--net=${netnsPath}`, ...argv);
  expect(inside('sh', '-c', 'cat /proc/sys/net/bridge/bridge-nf-call-*').trim().split('\n')).toEqual(['0', '0', '0']);
  const [bridge] = JSON.parse(inside('ip', '-details', '-json', 'link', 'show', 'dev', 'vmlet0')) as [{ linkinfo: { info_data: object } }];
  expect(bridge.linkinfo.info_data).toMatchObject({ stp_state: 0, forward_delay: 0, mcast_snooping: 0 });
  await network.detach(wanted.sandboxId, soon());
});
