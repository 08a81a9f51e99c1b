import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { PortMapping } from '../../../src/model/sandbox.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, run, soon, type TestNode } from './node.ts';

/** Addresses of the node on its link to another machine, of both families. */
const uplink = { first: '198.51.100.1', second: '198.51.100.3', first6: '2001:db8:9::1', second6: '2001:db8:9::3' } as const;

/** A node whose pods have both families, and another machine on a link of its own to it. */
function makeNodeWithNeighbour(): { readonly node: TestNode; readonly elsewhere: string } {
  const node = makeNode();
  const ranges = [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]];
  const ipam = { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] };
  node.configure([bridgePlugin(node, { ipam }), { type: 'portmap', capabilities: { portMappings: true } }]);
  const elsewhere = join(node.dir, 'elsewhere');
  writeFileSync(elsewhere, '');
  run('unshare', `--net=${elsewhere}`, 'ip', 'link', 'set', 'dev', 'lo', 'up');
  onTestFinished(() => void run('umount', '--lazy', elsewhere));
  node.inside('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'm0', 'netns', elsewhere);
  const ends = [
    { netns: node.netns, dev: 'uplink', addresses: Object.values(uplink) },
    { netns: elsewhere, dev: 'm0', addresses: ['198.51.100.2', '2001:db8:9::2'] },
  ];
  for (const { netns, dev, addresses } of ends) {
    const ip = (...argv: readonly string[]): string => run('nsenter', `--net=${netns}`, 'ip', ...argv);
    for (const address of addresses) {
      ip(
        'address',
        'add',
        address.includes(':') ? `${address}/64` : `${address}/24`,
        'dev',
        dev,
        ...(address.includes(':') ? ['nodad'] : []),
      );
    }
    ip('link', 'set', 'dev', dev, 'up');
  }
  return { node, elsewhere };
}

/** node -e: answers its name over TCP and UDP, each on a port, in both families. */
const responder = `const [name, tcpPort, udpPort] = process.argv.slice(1);
const tcp = require('node:net').createServer((socket) => socket.end(name)).listen(+tcpPort, '::');
const udp = require('node:dgram').createSocket({ type: 'udp6', ipv6Only: false });
udp.on('message', (_, from) => udp.send(name, from.port, from.address));
tcp.on('listening', () => udp.bind(+udpPort, '::', () => process.stdout.write('ready')));`;

/**
 * node -e: what answers at each of some places such as `tcp 192.0.2.1 80`, as JSON; null where nobody does, which the kernel tells at once
 * (UDP sockets hear of it when they are connected), or after 15 s.
 */
const asker = `const ask = (place) => new Promise((resolve) => {
  const [protocol, host, port] = place.split(' ');
  const none = () => resolve(null);
  setTimeout(none, 15_000).unref();
  const answer = (data) => resolve(String(data));
  if (protocol === 'tcp') return require('node:net').connect(+port, host).on('data', answer).on('error', none).on('close', none);
  const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4').on('message', answer).on('error', none);
  socket.connect(+port, host, () => socket.send('?'));
});
Promise.all(process.argv.slice(1).map(ask)).then((answers) => process.stdout.write(JSON.stringify(answers), () => process.exit()));`;

/** Serves in a pod's namespace, in place of a guest; ended with the test. */
async function serve(netnsPath: string, name: string, { tcp, udp } = { tcp: 80, udp: 53 }): Promise<void> {
  const argv = [`--net=${netnsPath}`, process.execPath, '-e', responder, name, `${tcp}`, `${udp}`];
  const child = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await waitFor(() => said === 'ready', { timeoutMs: 20_000, what: 'server in the pod' });
}

/** Who answers at each place. */
function answersAt(netns: string, places: readonly string[]): Readonly<Record<string, string | null>> {
  const answers = z
    .array(z.string().nullable())
    .parse(JSON.parse(run('nsenter', `--net=${netns}`, process.execPath, '-e', asker, ...places)));
  return Object.fromEntries(places.map((place, index) => [place, answers[index] ?? null]));
}

/** The same answer at each place. */
const all = (places: readonly string[], answer: string | null): object => Object.fromEntries(places.map((place) => [place, answer]));

const mapping = (hostPort: number, more: Partial<PortMapping> = {}): PortMapping => ({
  protocol: 'TCP',
  containerPort: 80,
  hostPort,
  hostIp: '',
  ...more,
});
const udp = { protocol: 'UDP', containerPort: 53 } as const;

/** Both ports at some addresses. */
const placesOf = (...addresses: readonly string[]): readonly string[] => addresses.flatMap((ip) => [`tcp ${ip} 8080`, `udp ${ip} 5353`]);

describe('a port of the node leads to the pod', () => {
  it('over TCP and UDP, in both families, from another machine and from the node', async () => {
    const { node, elsewhere } = makeNodeWithNeighbour();
    const network = await node.open();
    const wanted = request({ portMappings: [mapping(8080), mapping(5353, udp), mapping(0, { containerPort: 443 })] });
    await serve((await network.attach(wanted, soon())).netnsPath, 'web');
    const places = placesOf(...Object.values(uplink));
    expect(answersAt(elsewhere, places)).toEqual(all(places, 'web'));
    const fromNode = placesOf(uplink.first, '127.0.0.1');
    expect(answersAt(node.netns, fromNode)).toEqual(all(fromNode, 'web'));
    await network.detach(wanted.sandboxId, soon());
    expect(answersAt(elsewhere, places)).toEqual(all(places, null));
    expect(node.traces().iptables.filter((line) => line.includes('CNI-DN'))).toEqual([]);
  });

  it('at one address of the node, where another pod has the same port at another', async () => {
    const { node, elsewhere } = makeNodeWithNeighbour();
    const network = await node.open();
    const on = (...addresses: readonly string[]): readonly PortMapping[] =>
      addresses.flatMap((hostIp) => [mapping(8080, { hostIp }), mapping(5353, { ...udp, hostIp })]);
    const one = request({ portMappings: on(uplink.first, uplink.first6) });
    const two = request({ portMappings: on(uplink.second, uplink.second6) });
    const [ofOne, ofTwo] = [placesOf(uplink.first, uplink.first6), placesOf(uplink.second, uplink.second6)];
    const expectAnswers = (one: string | null, two: string | null): void =>
      expect(answersAt(elsewhere, [...ofOne, ...ofTwo])).toEqual({ ...all(ofOne, one), ...all(ofTwo, two) });

    await serve((await network.attach(one, soon())).netnsPath, 'one');
    expectAnswers('one', null);
    await serve((await network.attach(two, soon())).netnsPath, 'two');
    expectAnswers('one', 'two');
    await network.detach(one.sandboxId, soon());
    expectAnswers(null, 'two');
    await network.detach(two.sandboxId, soon());
  });

  it('at all addresses but one of each family, where it leads to another port of the pod', async () => {
    const { node, elsewhere } = makeNodeWithNeighbour();
    const network = await node.open();
    const [other, otherUdp] = [{ containerPort: 81 }, { protocol: 'UDP', containerPort: 54 }] as const;
    const everywhere = [mapping(8080), mapping(5353, { ...udp, hostIp: '0.0.0.0' }), mapping(5353, { ...udp, hostIp: '::' })];
    const at = (hostIp: string): readonly PortMapping[] => [mapping(8080, { ...other, hostIp }), mapping(5353, { ...otherUdp, hostIp })];
    const wanted = request({ portMappings: [...everywhere, ...at(uplink.second), ...at(uplink.second6)] });
    const { netnsPath } = await network.attach(wanted, soon());
    await serve(netnsPath, 'main');
    await serve(netnsPath, 'other', { tcp: 81, udp: 54 });
    const [ofMain, ofOther] = [placesOf(uplink.first, uplink.first6), placesOf(uplink.second, uplink.second6)];
    expect(answersAt(elsewhere, [...ofMain, ...ofOther])).toEqual({ ...all(ofMain, 'main'), ...all(ofOther, 'other') });
    await network.detach(wanted.sandboxId, soon());
  });

  it('over SCTP: as rules, for kernels that speak it', async () => {
    const { node } = makeNodeWithNeighbour();
    const network = await node.open();
    const wanted = request({ portMappings: [mapping(3868, { protocol: 'SCTP', containerPort: 3869 })] });
    await network.attach(wanted, soon());
    const rules = node.traces().iptables.filter((line) => line.includes('-j DNAT'));
    expect(rules).toEqual([
      expect.stringMatching(/-p sctp -m sctp --dport 3868 -j DNAT --to-destination 10\.213\.7\.2:3869$/),
      expect.stringMatching(/-p sctp -m sctp --dport 3868 -j DNAT --to-destination \[fd00:213:7::2\]:3869$/),
    ]);
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces().iptables.filter((line) => line.includes('3868'))).toEqual([]);
  });
});
