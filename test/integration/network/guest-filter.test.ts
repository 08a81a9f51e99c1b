import { expect, it } from 'vitest';
import {
  arp,
  broadcast,
  discovery,
  ethernet,
  fragments,
  igmpReport,
  ipv4,
  listenerReport,
  next,
  option,
  padding,
  tagged,
  udp,
} from './frames.ts';
import { crossing, type Frames } from './wire.ts';
import { greeting, makeWiredPod, other, own, toAll } from './wired-pod.ts';

const request = (mac: string): Parameters<typeof arp>[0] => ({ operation: 1, mac, ip: own.ip, target: '10.213.7.1' });

/** What any host says that looks after itself. */
function honest(mac: string): Frames {
  const ask = request(mac);
  const about = (from: string, message: Buffer): Buffer => toAll(mac, from, next.icmp, message);
  const mine = option.target(mac);
  return {
    'UDP to all': greeting(mac, own.ip),
    mDNS: ethernet({ from: mac, to: '01:00:5e:00:00:fb' }, 0x0800, ipv4({ from: own.ip, to: '224.0.0.251' }, udp(5353, 5353))),
    IGMP: ethernet({ from: mac, to: '01:00:5e:00:00:16' }, 0x0800, ipv4({ from: own.ip, to: '224.0.0.22' }, igmpReport, 2)),
    'ARP request': arp(ask),
    'ARP announcement': arp({ ...ask, target: own.ip }),
    'ARP probe for its own': arp({ ...ask, ip: '0.0.0.0', target: own.ip }),
    'UDP over IPv6': toAll(mac, own.ip6, next.udp, udp(4000, 4001)),
    'UDP from a link-local address': toAll(mac, own.linkLocal, next.udp, udp(5353, 5353)),
    'router solicitation': about(own.linkLocal, discovery.routerSolicit(option.source(mac))),
    'router solicitation from nobody': about('::', discovery.routerSolicit()),
    'neighbour solicitation': about(own.ip6, discovery.neighbourSolicit(other.ip6, option.source(mac))),
    'duplicate detection of its own': about('::', discovery.neighbourSolicit(own.ip6)),
    'duplicate detection with a nonce': about('::', discovery.neighbourSolicit(own.linkLocal, option.nonce)),
    'neighbour advertisement': about(own.ip6, discovery.neighbourAdvert(own.ip6, mine)),
    'neighbour advertisement of a link-local address': about(own.linkLocal, discovery.neighbourAdvert(own.linkLocal, mine)),
    'listener report from nobody': toAll(mac, '::', next.hopByHop, listenerReport),
  };
}

/** What names another as its sender, or could. */
function dishonest(mac: string): Frames {
  const ask = request(mac);
  const plain = greeting(mac, own.ip);
  const about = (from: string, message: Buffer): Buffer => toAll(mac, from, next.icmp, message);
  const mine = option.target(mac);
  const advert = discovery.neighbourAdvert(own.ip6, option.target(other.mac));
  const [first] = fragments(next.icmp, discovery.neighbourAdvert(own.ip6, option.nonce, option.target(other.mac)));
  const hidden = fragments(next.destination, padding(next.icmp, advert)).map((part) => toAll(mac, own.ip6, next.fragment, part));
  return {
    'another’s MAC': greeting(other.mac, own.ip),
    'another’s IP': greeting(mac, other.ip),
    'another’s IPv6': toAll(mac, other.ip6, next.udp, udp(4000, 4001)),
    tag: tagged(plain, 5),
    'tag of another’s IP': tagged(greeting(mac, other.ip), 5),
    'tag with VID 0': tagged(plain, 0),
    'tag of a provider': tagged(plain, 5, 0x88a8),
    'two tags': tagged(tagged(plain, 6), 5, 0x88a8),
    'tag of ARP': tagged(arp(ask), 5),
    'tag of an advertisement for another': tagged(about(own.ip6, discovery.neighbourAdvert(other.ip6, mine)), 0),
    'tag of a redirect': tagged(about(own.linkLocal, discovery.redirect(other.ip6)), 0),
    MPLS: ethernet({ from: mac, to: broadcast }, 0x8847, Buffer.alloc(46)),
    'ARP with another’s IP': arp({ ...ask, operation: 2, ip: other.ip }),
    'ARP of another form': arp({ ...ask, operation: 2, hardwareBytes: 8 }),
    'ARP probe for another’s': arp({ ...ask, ip: '0.0.0.0', target: other.ip }),
    'ARP answer from nobody': arp({ ...ask, operation: 2, ip: '0.0.0.0', target: own.ip }),
    redirect: about(own.linkLocal, discovery.redirect(other.ip6)),
    'duplicate detection of another’s': about('::', discovery.neighbourSolicit(other.ip6)),
    'advertisement for another': about(own.ip6, discovery.neighbourAdvert(other.ip6, mine)),
    'advertisement with another’s MAC': about(own.ip6, discovery.neighbourAdvert(own.ip6, option.target(other.mac))),
    'the same behind a nonce': about(own.ip6, discovery.neighbourAdvert(own.ip6, option.nonce, option.target(other.mac))),
    'solicitation with another’s MAC': about(own.ip6, discovery.neighbourSolicit(other.ip6, option.source(other.mac))),
    'solicitation with another’s MAC behind a nonce': about(
      own.ip6,
      discovery.neighbourSolicit(other.ip6, option.nonce, option.source(other.mac)),
    ),
    'router solicitation with another’s MAC': about(own.linkLocal, discovery.routerSolicit(option.source(other.mac))),
    'router solicitation with another’s MAC behind a nonce': about(
      own.linkLocal,
      discovery.routerSolicit(option.nonce, option.source(other.mac)),
    ),
    'first fragment of an advertisement': toAll(mac, own.ip6, next.fragment, first),
    'first fragment, of options': hidden[0] ?? plain,
    'second fragment, the advertisement': hidden[1] ?? plain,
  };
}

it('guests speak for themselves alone', async () => {
  const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing: true });
  const [passes, drops] = [honest(mac), dishonest(mac)];
  const crossed = await crossing(guest, neighbour, { ...passes, ...drops }, greeting(mac, own.ip, 'last'));
  expect(crossed).toEqual(Object.keys(passes));
  await end();
});

it('guests without an address of the CNI’s may have any, but no other MAC and no tag', async () => {
  const { mac, guest, neighbour, end } = await makeWiredPod({ antiSpoofing: true, withoutIpam: true });
  const plain = greeting(mac, other.ip);
  const probe = arp({ operation: 1, mac, ip: '0.0.0.0', target: other.ip });
  const drops = { tag: tagged(plain, 5), 'tag of a provider': tagged(plain, 0, 0x88a8), MAC: greeting(other.mac, other.ip) };
  expect(await crossing(guest, neighbour, { plain, probe, ...drops }, greeting(mac, own.ip))).toEqual(['plain', 'probe']);
  await end();
});
