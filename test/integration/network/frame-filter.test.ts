import { expect, it } from 'vitest';
import { discovery, ethernet, ipv4, next, udp } from './frames.ts';
import { waitFor } from '../../lib/wait.ts';
import { soon } from './node.ts';
import { crossing, type Frames } from './wire.ts';
import { greeting, makeWiredPod, other, own, toAll, type WiredPod } from './wired-pod.ts';

/** What bridges say to each other, and never send on (IEEE 802.1Q, table 8-1); here with an IP packet for the pod's own stack. */
function reserved(from: string): Frames {
  const packet = ipv4({ from: '8.8.8.8', to: '169.254.254.254' }, udp(4000, 4001));
  const groups = Array.from({ length: 16 }, (_, index) => `01:80:c2:00:00:0${index.toString(16)}`);
  return Object.fromEntries(groups.map((to) => [`${from} to ${to}`, ethernet({ from, to }, 0x0800, packet)]));
}

/** How many MACs the pod's bridge knows. */
const known = ({ inside }: WiredPod): number => inside('bridge', 'fdb', 'show', 'br', 'vmlet0').trim().split('\n').length;
/** How many IP packets the pod's own stack was given (`InReceives`). */
const heard = ({ inside }: WiredPod): number => Number(/^Ip: [0-9]+ [0-9]+ ([0-9]+)/m.exec(inside('cat', '/proc/net/snmp'))?.[1]);
const hello = greeting(other.mac, other.ip);

it.each([true, false])('frames of the reserved groups end before the bridge, with antiSpoofing %s', async (antiSpoofing) => {
  const pod = await makeWiredPod({ antiSpoofing });
  const { mac, guest, neighbour, end } = pod;
  await crossing(guest, neighbour, {}, greeting(mac, own.ip));
  const before = { known: known(pod), heard: heard(pod) };
  expect(await crossing(guest, neighbour, { ...reserved(mac), ...reserved(other.mac) }, greeting(mac, own.ip))).toEqual([]);
  expect(await crossing(neighbour, guest, reserved(other.mac), hello)).toEqual([]);
  // The stack hears the guest's broadcast, as DHCP needs.
  expect({ known: known(pod), heard: heard(pod) }).toEqual({ known: before.known, heard: before.heard + 1 });
  await end();
});

it('nobody fills the bridge’s table with MACs', async () => {
  const pod = await makeWiredPod({ antiSpoofing: false });
  const { mac, guest, neighbour, end } = pod;
  const before = known(pod);
  const frames = (side: string): Frames =>
    Object.fromEntries(
      Array.from({ length: 200 }, (_, index) => `02:00:00:00:${side}:${index.toString(16).padStart(2, '0')}`).map((from) => [
        from,
        greeting(from, other.ip),
      ]),
    );
  expect(await crossing(guest, neighbour, frames('01'), greeting(mac, own.ip))).toHaveLength(200);
  expect(await crossing(neighbour, guest, frames('02'), hello)).toHaveLength(200);
  expect(known(pod)).toBe(before);
  await end();
});

it('a guest is found that has never spoken', async () => {
  const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing: true });
  const toGuest = ethernet({ from: other.mac, to: mac }, 0x0800, ipv4({ from: other.ip, to: own.ip }, udp(4000, 4001)));
  expect(await crossing(neighbour, guest, { toGuest }, hello)).toEqual(['toGuest']);
  await end();
});

it('a guest behind a bridge in hairpin mode does not hear itself, and is found', async () => {
  const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing: false, hairpinMode: true });
  const mine = greeting(mac, own.ip);
  const toGuest = ethernet({ from: other.mac, to: mac }, 0x0800, ipv4({ from: other.ip, to: own.ip }, udp(4000, 4001)));
  await crossing(guest, neighbour, {}, mine);
  expect(await crossing(neighbour, guest, { toGuest }, hello)).toEqual(['toGuest']);
  expect(guest.received().some((frame) => frame.subarray(0, mine.length).equals(mine))).toBe(false);
  await end();
});

it('nothing is routed in a pod, though its node routes', async () => {
  const { inside, end } = await makeWiredPod({ antiSpoofing: true });
  expect(inside('cat', '/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding')).toBe('0\n0\n');
  await end();
});

it('a daemon that starts has its own rules on running VMs, whatever they had', async () => {
  const { node, sandboxId, tap, mac, guest, neighbour, inside, end } = await makeWiredPod({ antiSpoofing: true });
  const frames = { advert: toAll(mac, own.linkLocal, next.icmp, discovery.routerAdvert()), spoofed: greeting(mac, other.ip) };
  inside('nft', 'flush', 'ruleset');
  expect(await crossing(guest, neighbour, frames, greeting(mac, own.ip))).toEqual(['advert', 'spoofed']);
  await (await node.open()).recover(new Map([[sandboxId, tap]]), soon());
  const rules = (): string => inside('nft', 'list', 'tables');
  await waitFor(() => rules().includes('table netdev vmlet'), { timeoutMs: 20_000, what: 'the rules' });
  expect(await crossing(guest, neighbour, frames, greeting(mac, own.ip))).toEqual([]);
  await end();
});
