import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, request, run, soon } from './node.ts';

it('keeps DHCP on the pod side of the CNI interface, both ways', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const wanted = request();
  const attachment = await network.attach(wanted, soon());
  const mac = attachment.interfaces[0]?.mac ?? '';

  // A client on the node's network, which has the very MAC that our server knows.
  const stranger = makeGuest(node, mac);
  run('ip', 'link', 'set', 'dev', stranger.tap, 'netns', node.netns);
  node.inside('ip', 'link', 'set', 'dev', stranger.tap, 'master', 'cni-test', 'up');
  const impostor = makeGuest(node, '02:00:00:00:00:77');
  await network.joinTap(wanted.sandboxId, impostor.tap, soon());
  expect(stranger.dhcp()).toBeUndefined();

  // A server on the node's network, which would answer everybody.
  const args = ['--keep-in-foreground', '--conf-file=/dev/null', `--pid-file=${join(node.dir, 'rogue.pid')}`, '--port=0', '--no-ping'];
  const leases = join(node.dir, 'rogue.leases');
  writeFileSync(leases, '');
  const range = [
    '--dhcp-range=10.213.7.100,10.213.7.200',
    `--dhcp-leasefile=${leases}`,
    '--interface=cni-test',
    '--log-facility=/dev/null',
  ];
  const rogue = spawn('nsenter', [`--net=${node.netns}`, 'dnsmasq', ...args, ...range], { stdio: 'ignore' });
  onTestFinished(() => void rogue.kill('SIGKILL'));
  await waitFor(() => node.inside('cat', '/proc/net/udp').includes(':0043 '), { timeoutMs: 10_000, what: 'the other DHCP server' });
  expect(stranger.dhcp()?.['ip']).toMatch(/^10\.213\.7\.1[0-9]{2}$/);
  expect(impostor.dhcp()).toBeUndefined();
  await network.detach(wanted.sandboxId, soon());
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
  expect(node.traces().processes).toEqual([]);
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
