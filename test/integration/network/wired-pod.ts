import { nthTap } from '../../../src/model/container.ts';
import { allNodes, broadcast, ethernet, ipv4, ipv6, udp } from './frames.ts';
import { bridgePlugin, makeNode, request, run, soon, type TestNode } from './node.ts';
import { openWire, type Wire } from './wire.ts';

/** A pod whose VM and whose neighbour on the CNI's bridge are the test itself. */
export interface WiredPod {
  readonly node: TestNode;
  readonly sandboxId: string;
  /** Name of the VM's first tap. */
  readonly tap: string;
  /** The guest's MAC on the interface that is wired. */
  readonly mac: string;
  readonly guest: Wire;
  readonly neighbour: Wire;
  /** Runs a program in the pod's namespace. */
  readonly inside: (...argv: readonly [string, ...string[]]) => string;
  readonly end: () => Promise<void>;
}

/** Addresses of the guest, and of nobody. */
export const own = { ip: '10.213.7.2', ip6: 'fd00:213:7::2', linkLocal: 'fe80::5' };
export const other = { mac: '02:00:00:00:00:99', ip: '10.213.7.77', ip6: 'fd00:213:7::77', linkLocal: 'fe80::77' };

interface WiredPodOptions {
  readonly antiSpoofing: boolean;
  /** The wires are on a second interface, which has no address. */
  readonly withoutIpam?: boolean;
  /** As Flannel has it: the CNI's bridge sends frames back to where they came from too. */
  readonly hairpinMode?: boolean;
}

/** Makes a pod of both families, and its wires. */
export async function makeWiredPod(options: WiredPodOptions): Promise<WiredPod> {
  const { antiSpoofing, withoutIpam = false, hairpinMode = false } = options;
  const node = makeNode();
  const ranges = [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]];
  const first = bridgePlugin(node, { name: 'testnet', hairpinMode, ipam: { type: 'host-local', dataDir: `${node.dir}/ipam`, ranges } });
  const second = { type: 'bridge', name: 'testnet', bridge: 'cni-test2' };
  node.configure(withoutIpam ? [{ type: 'several', delegates: [first, second] }] : [first]);
  const network = await node.open(20_000, 60_000, { antiSpoofing });
  const { sandboxId } = request();
  const { interfaces, netnsPath } = await network.attach(request({ sandboxId }), soon());
  const inside = (...argv: readonly string[]): string => run('nsenter', `--net=${netnsPath}`, ...argv);
  inside('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'); // as it is on each node of a cluster, of which namespaces have it
  const tap = `tg${sandboxId.slice(0, 8)}`;
  await network.makeTap({ tap, interfaces, uid: 0, queues: 1 }, soon());
  const guest = await openWire(nthTap(tap, interfaces.length - 1));
  await network.joinTap(sandboxId, tap, soon());
  const neighbour = await openWire('wire0', node.netns);
  const bridge = withoutIpam ? 'cni-test2' : 'cni-test';
  node.inside('ip', 'link', 'set', 'dev', bridge, 'type', 'bridge', 'mcast_snooping', '0'); // else reports go to routers alone
  node.inside('ip', 'link', 'set', 'dev', 'wire0', 'master', bridge, 'up');
  const end = async (): Promise<void> => network.detach(sandboxId, soon());
  return { node, sandboxId, tap, mac: interfaces.at(-1)?.mac ?? '', guest, neighbour, inside, end };
}

/** What a host may always say to everybody. */
export function greeting(mac: string, ip: string, words = 'hello'): Buffer {
  const packet = ipv4({ from: ip, to: '10.213.7.255' }, udp(4000, 4001, Buffer.from(words)));
  return ethernet({ from: mac, to: broadcast }, 0x0800, packet);
}

/** An IPv6 packet for all on the link. */
export function toAll(mac: string, from: string, nextHeader: number, payload: Buffer): Buffer {
  return ethernet({ from: mac, to: allNodes.mac }, 0x86dd, ipv6({ from, to: allNodes.ip }, nextHeader, payload));
}
