import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { deletePod, startContainer, startSandbox } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { addPlugin, getFromPod, startNode, writeConflist, type PodNetwork, type TestNode } from '../node/node.ts';
import { makeOtherMachine, type OtherMachine } from '../node/other-machine.ts';
import { startPeer, type Peer } from '../node/peer.ts';
import { countArrivals } from '../node/wire-counters.ts';
import { requireClean, vmPod } from './guests.ts';
import { datagramPort, tinyGuest, untilReceived, type TinyGuest } from './tiny-guest.ts';

const image = 'example.com/guests/tiny:1';

/** A machine beside the node: a link to the node, and one with the macvlan on it, for which it is the router. */
const machineAt = { link: '198.51.100.2', node: '198.51.100.1', macvlan: '203.0.113.2', port: 7 };
/** More than a packet takes, whatever the MTU. */
const largeBytes = 4_000;

/** What the guest on a network is told, at which address it talks to the machine, and at which the machine sees it. */
interface Expected {
  readonly address: string;
  readonly gateway: string;
  readonly mtu: number;
  readonly machine: string;
  readonly seenAs: string;
  readonly plugin: (network: PodNetwork) => Plugin;
}

const usual = { mtu: 1500, machine: machineAt.link };

/** The networks, by the name of the pod on each. */
const networks = {
  bridge: { ...usual, address: '10.88.7.2/24', gateway: '10.88.7.1', seenAs: machineAt.node, plugin: bridgePlugin },
  ptp: { ...usual, address: '10.88.8.2/32', gateway: '10.88.8.1', seenAs: '10.88.8.2', plugin: ptpPlugin },
  macvlan: {
    ...usual,
    address: '203.0.113.20/24',
    gateway: machineAt.macvlan,
    machine: machineAt.macvlan,
    seenAs: '203.0.113.20',
    plugin: macvlanPlugin,
  },
  routed: { ...usual, mtu: 1400, address: '10.88.9.2/32', gateway: '169.254.1.1', seenAs: '10.88.9.2', plugin: routedPlugin },
} satisfies Record<string, Expected>;
type Kind = keyof typeof networks;
const kinds = Object.keys(networks) as Kind[];

/** The pods, one on each network and a second one on the bridge. */
const pods = { ...networks, beside: networks.bridge };
type Name = keyof typeof pods;
const names = Object.keys(pods) as Name[];

type Plugin = Readonly<Record<string, unknown>>;

/** As it is on a node: with masquerading, so that other machines see the node's address. */
function bridgePlugin({ conflist }: PodNetwork): Plugin {
  return { ...conflist.plugins[0] };
}

function ptpPlugin(network: PodNetwork): Plugin {
  return { type: 'ptp', ipMasq: false, ipam: ipam(network, { subnet: '10.88.8.0/24' }) };
}

/** Its gateway is on the wire below; the node itself cannot be reached there, as macvlan has it. */
function macvlanPlugin(network: PodNetwork): Plugin {
  const range = { subnet: '203.0.113.0/24', rangeStart: '203.0.113.20', gateway: machineAt.macvlan };
  return { type: 'macvlan', master: 'lower', mode: 'bridge', ipam: ipam(network, range) };
}

function routedPlugin(network: PodNetwork): Plugin {
  return { type: 'routed', mtu: 1400, ipam: ipam(network, { subnet: '10.88.9.0/24' }) };
}

function ipam({ dataDir }: PodNetwork, range: object): object {
  return { type: 'host-local', dataDir, ranges: [[range]], routes: [{ dst: '0.0.0.0/0' }] };
}

describe('VM pods on networks of several kinds', () => {
  let node: TestNode;
  let machine: OtherMachine;
  let peer: Peer;
  const guests = new Map<Name, TinyGuest>();
  const guestOn = (name: Name): TinyGuest => {
    const guest = guests.get(name);
    if (!guest) throw new Error(`no guest on ${name}`);
    return guest;
  };
  const inNode = async (...argv: readonly string[]): Promise<string> =>
    (await runProgram('nsenter', [`--net=${node.network.netnsPath}`, ...argv], { signal: AbortSignal.timeout(30_000) })).stdout;

  async function connectMachine(): Promise<void> {
    machine = await makeOtherMachine(node.network, node.dir);
    await machine.link({ name: 'uplink', address: `${machineAt.node}/24` }, { name: 'm0', address: `${machineAt.link}/24` });
    await machine.link({ name: 'lower' }, { name: 'm1', address: `${machineAt.macvlan}/24` });
    await machine.inside('ip', 'route', 'add', 'default', 'via', machineAt.node);
    await inNode('ip', 'route', 'add', 'default', 'via', machineAt.link);
    await machine.inside('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'); // between its two links
    peer = await startPeer(machine.netnsPath, { port: machineAt.port, tcpBytes: 100_000 });
  }

  /** The node's network is another one for each pod; those of before stay on theirs. */
  async function startPod(name: Name): Promise<void> {
    const { conflist } = node.network;
    await writeConflist(node.cniConfDir, { ...conflist, plugins: [pods[name].plugin(node.network)] });
    const running = await startSandbox(node.kubelet, vmPod({ name, image, memory: '256Mi' }));
    guests.set(name, tinyGuest(node, running));
  }

  async function boot(name: Name): Promise<void> {
    const { running } = guestOn(name);
    const [container] = running.pod.containers;
    if (!container) throw new Error('a pod without a container');
    const started = await startContainer(node.kubelet, running, container);
    const guest = tinyGuest(node, { ...running, containers: [started] });
    guests.set(name, guest);
    await guest.untilBooted();
  }

  beforeAll(async () => {
    const file = await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000));
    node = await startNode({ images: [{ name: image, file }] });
    addPlugin(
      node.network,
      'routed',
      `exec nsenter --net=${node.network.netnsPath} ${process.execPath} ${join(import.meta.dirname, '..', 'node', 'routed-plugin.ts')}`,
    );
    await connectMachine();
    for (const name of names) await startPod(name);
    await Promise.all(names.map(boot));
  }, 800_000);
  afterAll(async () => {
    await peer?.[Symbol.asyncDispose]();
    await machine?.[Symbol.asyncDispose]();
    await node?.stop();
  });

  it.concurrent.each(kinds)('%s: the guest has its address, its MTU, and one default route', async (name) => {
    const { address, gateway, mtu } = networks[name];
    const info = await guestOn(name).info();
    expect(info).toContain(`address eth0 ${address}\n`);
    expect(info).toMatch(new RegExp(`^interface eth0 \\S+ mtu ${mtu}$`, 'm'));
    expect(info.match(/^route default .*$/gm)).toEqual([expect.stringContaining(`via ${gateway} dev eth0`)]);
  });

  it.concurrent.each(kinds)('%s: ICMP, TCP and UDP come from another machine', async (name) => {
    const guest = guestOn(name);
    expect(await machine.inside('busybox', 'ping', '-c', '2', '-W', '5', guest.ip)).toContain('2 packets received');
    expect(await getFromPod(machine, `http://${guest.ip}/`, 30_000)).toEqual({ status: 200, text: `${name}\n` });
    const text = `machine ${'.'.repeat(largeBytes - 9)}\n`;
    await untilReceived(guest, { from: 'machine', bytes: largeBytes }, async () => {
      peer.send(guest.ip, datagramPort, text);
    });
  });

  it.concurrent.each(kinds)('%s: ICMP, TCP and UDP go to another machine', async (name) => {
    const guest = guestOn(name);
    const { machine: to, seenAs } = networks[name];
    await guest.ask(`ping=${to}`);
    const said = await guest.ask(`read=${to}:${machineAt.port}`);
    expect(said).toHaveLength(100_000);
    expect(said.split('\n')[0]).toBe(`from ${seenAs}`);
    const answer = async (): Promise<string | false> => (await guest.ask(`send=${to}:${machineAt.port}:${largeBytes}`)).trim() || false;
    const answered = await waitFor(answer, { timeoutMs: 30_000, what: `answer to a datagram of ${name}` });
    expect(answered).toBe(`from ${seenAs} ${largeBytes} bytes`);
  });

  it.concurrent.each([
    ['bridge', 'beside'], // neighbours
    ['ptp', 'macvlan'],
    ['macvlan', 'routed'],
    ['routed', 'bridge'],
  ] as const)('%s and %s: ICMP, TCP and UDP, both ways', async (one, other) => {
    for (const [from, to] of [
      [guestOn(one), guestOn(other)],
      [guestOn(other), guestOn(one)],
    ] as const) {
      await from.ask(`ping=${to.ip}`);
      expect(await from.ask(`get=${to.ip}`)).toBe(`${to.name}\n`);
      await untilReceived(to, { from: from.name, bytes: largeBytes }, async () => from.ask(`send=${to.ip}:${datagramPort}:${largeBytes}`));
    }
  });

  it('an MTU of 1400 holds from end to end, on the wire', async () => {
    const guest = guestOn('routed');
    // A segment a packet: else offloads carry many as one, and the wire is not seen.
    await machine.inside('ip', 'link', 'set', 'dev', 'm0', 'gso_max_segs', '1');
    await inNode('ip', 'link', 'set', 'dev', 'uplink', 'gso_max_segs', '1');
    const fromGuest = await countArrivals(inNode, `routed${guest.running.sandboxId.slice(0, 8)}`, {
      whole: `ip protocol udp ip length 1400 ${dontFragment}`,
      fragments: `ip protocol udp ${isFragment}`,
      larger: 'ip protocol udp ip length > 1400',
    });
    const fromNode = await countArrivals(machine.inside, 'm0', {
      larger: 'ip length > 1400',
      mss1360: 'tcp flags & syn == syn tcp option maxseg size 1360',
      fullSegments: 'ip protocol tcp ip length 1400',
      tooBig: 'icmp type destination-unreachable icmp code frag-needed icmp mtu 1400',
    });
    const fromMachine = await countArrivals(inNode, 'uplink', {
      fullSegments: 'ip protocol tcp ip length 1400',
      tooLarge: `ip protocol udp ip length 1401 ${dontFragment}`,
    });

    // Out of the guest: its device takes 1400 bytes whole, and not one more.
    const to = `${machineAt.link}:${machineAt.port}`;
    await guest.ask(`send=${to}:${1400 - udpHeaders}`);
    expect(await fromGuest()).toEqual({ whole: 1, fragments: 0, larger: 0 });
    await guest.ask(`send=${to}:${1401 - udpHeaders}`);
    expect(await fromGuest()).toEqual({ whole: 1, fragments: 2, larger: 0 });
    const heard = (): boolean => [1400, 1401].every((bytes) => peer.datagrams().some(({ text }) => text.length === bytes - udpHeaders));
    await waitFor(heard, { timeoutMs: 10_000, what: 'both datagrams at the machine' });

    // Into the guest: what is larger is turned back at the node, and comes in pieces once that is known.
    const into = (bytes: number) => async (): Promise<void> =>
      peer.send(guest.ip, datagramPort, `mtu ${'.'.repeat(bytes - udpHeaders - 5)}\n`);
    await untilReceived(guest, { from: 'mtu', bytes: 1400 - udpHeaders }, into(1400));
    expect(await fromNode()).toMatchObject({ tooBig: 0 });
    await untilReceived(guest, { from: 'mtu', bytes: 1401 - udpHeaders }, into(1401));
    expect(await fromNode()).toMatchObject({ tooBig: 1 });
    expect(await fromMachine()).toMatchObject({ tooLarge: 1 });

    // TCP, both ways.
    expect(await guest.ask(`read=${to}`)).toHaveLength(100_000);
    const page = await getFromPod(machine, `http://${guest.ip}/cgi-bin/net?read=${to}`, 30_000);
    expect(page.text.length).toBeGreaterThan(100_000);
    const [outward, inward] = [await fromNode(), await fromMachine()];
    expect(outward).toMatchObject({ larger: 0 });
    for (const count of [outward.mss1360, outward.fullSegments, inward.fullSegments]) expect(count).toBeGreaterThan(0);
  });

  it('all go, and leave nothing behind', async () => {
    await Promise.all([...guests.values()].map(async ({ running }) => deletePod(node.kubelet, running, { graceSeconds: 20 })));
    await peer[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
    await requireClean(node);
    expect(node.logTail(1_000)).not.toMatch(/"level":"error"/);
  });
});

/** Headers of IPv4 and UDP, bytes. */
const udpHeaders = 28;
const dontFragment = 'ip frag-off & 0x4000 != 0';
/** More fragments, or an offset. */
const isFragment = 'ip frag-off & 0x3fff != 0';
