import { describe, expect, it } from 'vitest';
import { arp, broadcast, discovery, ethernet, fragments, ipv4, next, option, padding, tagged, udp } from './frames.ts';
import { crossing, type Frames } from './wire.ts';
import { greeting, makeWiredPod, other, own, toAll } from './wired-pod.ts';

interface Host {
  readonly mac: string;
  readonly ip: string;
  readonly linkLocal: string;
}

/** What must cross the CNI's interface in no direction: configuration of addresses, in all its disguises. */
function configuration({ mac, ip, linkLocal }: Host): Frames {
  const dhcp = (from: number, to: number): Buffer =>
    ethernet({ from: mac, to: broadcast }, 0x0800, ipv4({ from: ip, to: '255.255.255.255' }, udp(from, to)));
  const offer = dhcp(67, 68);
  const message = discovery.routerAdvert(option.source(mac));
  const advert = toAll(mac, linkLocal, next.icmp, message);
  const [first, second] = fragments(next.destination, padding(next.icmp, message)).map((part) =>
    toAll(mac, linkLocal, next.fragment, part),
  ) as [Buffer, Buffer];
  return {
    'DHCP to a client': offer,
    'DHCP to a server': dhcp(68, 67),
    'DHCP with VID 0': tagged(offer, 0),
    'DHCP with VID 0 twice': tagged(tagged(offer, 0), 0),
    'DHCP with a provider’s VID 0': tagged(offer, 0, 0x88a8),
    'DHCPv6 to a server': toAll(mac, linkLocal, next.udp, udp(546, 547)),
    'DHCPv6 to a client': toAll(mac, linkLocal, next.udp, udp(547, 546)),
    'router advertisement': advert,
    'router advertisement with VID 0': tagged(advert, 0),
    'router advertisement with VID 0 and a priority': tagged(advert, 0x6000),
    'router advertisement with a provider’s VID 0': tagged(advert, 0, 0x88a8),
    'router advertisement with VID 0 twice': tagged(tagged(advert, 0), 0),
    'router advertisement behind options': toAll(mac, linkLocal, next.destination, padding(next.icmp, message)),
    'first fragment, of options': first,
    'second fragment, the advertisement': second,
    'first fragment with VID 0': tagged(first, 0),
  };
}

const hello = greeting(other.mac, other.ip);

describe('configuration of addresses', () => {
  it.each([true, false])('crosses the port in no direction, with antiSpoofing %s', async (antiSpoofing) => {
    const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing });
    expect(await crossing(guest, neighbour, configuration({ ...own, mac }), greeting(mac, own.ip))).toEqual([]);
    expect(await crossing(neighbour, guest, configuration(other), hello)).toEqual([]);
    await end();
  });

  it('does not cross either where br_netfilter came after the join', async () => {
    const { mac, guest, neighbour, inside, end } = await makeWiredPod({ antiSpoofing: false });
    inside('sh', '-c', 'for file in /proc/sys/net/bridge/bridge-nf-call-*; do echo 1 > $file; done');
    expect(await crossing(guest, neighbour, configuration({ ...own, mac }), greeting(mac, own.ip))).toEqual([]);
    expect(await crossing(neighbour, guest, configuration(other), hello)).toEqual([]);
    await end();
  });
});

it('everything else crosses where guests may say anything', async () => {
  const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing: false });
  const plain = greeting(mac, own.ip);
  const frames = {
    'with a tag': tagged(plain, 5),
    'with a priority': tagged(plain, 0x6000),
    'with two tags': tagged(tagged(plain, 6), 5, 0x88a8),
    'another’s IP': greeting(mac, other.ip),
    'another’s MAC': hello,
    'another’s ARP': arp({ operation: 2, mac: other.mac, ip: other.ip, target: own.ip }),
  };
  expect(await crossing(guest, neighbour, frames, plain)).toEqual(Object.keys(frames));
  await end();
});
