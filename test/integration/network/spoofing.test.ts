import { describe, expect, it } from 'vitest';
import { bridgePlugin, makeGuest, makeNode, request, soon, type TestGuest, type TestNode } from './node.ts';

interface Pair {
  readonly node: TestNode;
  readonly guest: TestGuest;
}

/** A guest that has got its addresses of both families from a pod on a bridge. */
async function dualStackGuest(antiSpoofing: boolean): Promise<Pair & { readonly end: () => Promise<void> }> {
  const node = makeNode();
  const ranges = [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]];
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
  node.configure([bridgePlugin(node, { ipam: { type: 'host-local', dataDir: `${node.dir}/ipam`, ranges, routes } })]);
  const network = await node.open(20_000, 60_000, { antiSpoofing });
  const { sandboxId } = request();
  const { interfaces } = await network.attach(request({ sandboxId }), soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  await network.joinTap(sandboxId, guest.tap, soon());
  expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
  guest.inside('ip', 'address', 'add', 'fd00:213:7::2/64', 'dev', 'g0', 'nodad');
  return { node, guest, end: async () => network.detach(sandboxId, soon()) };
}

const works = (attempt: () => string): boolean => {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
};
const ping = ({ inside }: Pick<TestGuest, 'inside'>, ...args: readonly string[]): boolean =>
  works(() => inside('busybox', args.some((arg) => arg.includes('::')) ? 'ping6' : 'ping', '-c', '2', '-W', '1', ...args));

/** What a guest gets through that it should not: with a MAC, an IP, an ARP answer and a neighbour's advertisement that are another's. */
function spoofs({ node, guest }: Pair): Readonly<Record<string, boolean>> {
  const link = (...words: readonly string[]): string => guest.inside('ip', ...(words as [string]), 'dev', 'g0');
  const own = /ether ([0-9a-f:]{17})/.exec(guest.inside('ip', 'link', 'show', 'dev', 'g0'))?.[1] ?? '';
  guest.inside('ip', 'link', 'set', 'dev', 'g0', 'address', '02:00:00:00:00:99');
  const byMac = ping(guest, '10.213.7.1');
  guest.inside('ip', 'link', 'set', 'dev', 'g0', 'address', own);
  node.inside('ip', 'neighbour', 'flush', 'dev', 'cni-test');

  link('address', 'add', '10.213.7.77/24');
  guest.inside('ip', 'address', 'add', 'fd00:213:7::77/64', 'dev', 'g0', 'nodad');
  const byArp = works(() => node.inside('busybox', 'arping', '-c', '2', '-w', '3', '-I', 'cni-test', '10.213.7.77'));
  ping(node, 'fd00:213:7::77');
  const neighbour = node.inside('ip', '-6', 'neighbour', 'show', 'fd00:213:7::77', 'dev', 'cni-test');
  // The node knows where the other address is, so that nothing is in question but the packet's own sender.
  for (const address of ['10.213.7.77', 'fd00:213:7::77'])
    node.inside('ip', 'neighbour', 'replace', address, 'lladdr', own, 'dev', 'cni-test', 'nud', 'permanent');
  const byIp = ping(guest, '-I', '10.213.7.77', '10.213.7.1');
  const byIp6 = ping(guest, '-I', 'fd00:213:7::77', 'fd00:213:7::1');
  return { byMac, byArp, byNdp: neighbour.includes('lladdr'), byIp, byIp6 };
}

describe('a guest with another’s', () => {
  it('MAC, IP, ARP or NDP sender is heard by nobody', async () => {
    const pair = await dualStackGuest(true);
    expect(spoofs(pair)).toEqual({ byMac: false, byArp: false, byNdp: false, byIp: false, byIp6: false });
    await pair.end();
    expect(pair.node.traces()).toMatchObject({ namespaces: [], links: ['lo'], iptables: [], leases: [] });
  });

  it('is heard where that is allowed', async () => {
    const pair = await dualStackGuest(false);
    expect(spoofs(pair)).toEqual({ byMac: true, byArp: true, byNdp: true, byIp: true, byIp6: true });
    await pair.end();
  });
});

it('a guest that speaks for itself is heard in both families, link-local addresses included', async () => {
  const { node, guest, end } = await dualStackGuest(true);
  expect(ping(guest, '10.213.7.1')).toBe(true);
  expect(ping(guest, 'fd00:213:7::1')).toBe(true);
  expect(ping(node, '10.213.7.2')).toBe(true);
  expect(ping(node, 'fd00:213:7::2')).toBe(true);
  const [, local = ''] = /(fe80::[0-9a-f:]+)\/64/.exec(guest.inside('ip', '-6', 'address', 'show', 'dev', 'g0')) ?? [];
  node.inside('ip', 'neighbour', 'flush', 'dev', 'cni-test');
  expect(ping(node, `${local}%cni-test`)).toBe(true);
  await end();
});
