import ipaddr from 'ipaddr.js';
import type { GuestInterface } from '../../model/network.ts';
import { familyOf, parseCidr } from '../address.ts';
import { chain, dropHidingFragments, hook, set, vlanTags } from './nft.ts';

/** What a guest was given on an interface. */
export type Sender = Pick<GuestInterface, 'mac' | 'addresses' | 'routes'>;

/** Chains of a bridge that let nothing from a tap but what names its guest as sender: by MAC, IP, ARP and NDP. */
export function guestChains(guests: readonly { readonly tap: string; readonly guest: Sender }[]): readonly string[] {
  const senders = guests.flatMap(({ guest }, index) => senderChains(guest, index));
  // Before anything else sees the frame, the bridge's table of addresses and the DHCP server included.
  const jumps = guests.map(({ tap }, index) => `iifname "${tap}" jump guest${index}`);
  return [...senders, ...chain('prerouting', [hook('prerouting'), ...jumps])];
}

/**
 * What one guest may send. Where CNI gave no address, the guest may have any (a network without IPAM). Link-local IPv6 addresses are made
 * by the guest, of whatever form (RFC 4862, RFC 7217), so that all of them are its own but the gateways'. Frames that are neither IP nor
 * ARP are dropped, those with a VLAN tag first: most rules would look past it, others stop at it.
 */
function senderChains({ mac, addresses, routes }: Sender, index: number): readonly string[] {
  const own = addresses.flatMap(({ cidr }) => parseCidr(cidr)?.address ?? []);
  const name = `guest${index}`;
  const always = [`ether type ${vlanTags} drop`, `ether saddr != ${mac} drop`];
  if (own.length === 0) return chain(name, always);
  const own4 = own.filter((address) => familyOf(address) === 4);
  const own6 = own.filter((address) => familyOf(address) === 6);
  const near = [...routes.map(({ gateway }) => gateway), ...addresses.map(({ gateway }) => gateway)];
  const gateways = [...new Set(near.filter((gateway) => gateway !== undefined && isLinkLocal6(gateway)))] as readonly string[];
  return [
    ...chain(`${name}_nd`, targetRules(own6, gateways)),
    ...chain(name, [
      ...always,
      ...arpRules(mac, own4),
      ...forAny(own4, (mine) => `ip saddr ${mine} accept`),
      'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
      dropHidingFragments,
      ...neighbourRules(mac, `${name}_nd`),
      'ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } accept',
      ...forAny(gateways, (all) => `ip6 saddr ${all} drop`),
      'ip6 saddr fe80::/10 accept',
      ...forAny(own6, (mine) => `ip6 saddr ${mine} accept`),
      'drop',
    ]),
  ];
}

/** ARP for the guest's own addresses, of the one form there is: in others the sender is elsewhere. A probe (RFC 5227) asks for its own. */
function arpRules(mac: string, own4: readonly string[]): readonly string[] {
  const ours = `ether type arp arp htype 1 arp hlen 6 arp plen 4 arp saddr ether ${mac}`;
  return forAny(own4, (mine) => `${ours} arp saddr ip ${mine} accept`).concat(
    forAny(own4, (mine) => `${ours} arp operation request arp saddr ip 0.0.0.0 arp daddr ip ${mine} accept`),
  );
}

/**
 * Neighbour discovery (RFC 4861): never in fragments (RFC 6980), and with the link-layer address alone among options, which must be the
 * guest's. From the unspecified address there is none, but perhaps a nonce (RFC 7527).
 */
function neighbourRules(mac: string, targetChain: string): readonly string[] {
  const messages = [
    { type: 'nd-router-solicit', bytes: 8, option: '0x0101' },
    { type: 'nd-neighbor-solicit', bytes: 24, option: '0x0101' },
    { type: 'nd-neighbor-advert', bytes: 24, option: '0x0201' },
  ];
  return [
    'icmpv6 type { nd-router-advert, nd-redirect } drop',
    `icmpv6 type ${set(messages.map(({ type }) => type))} exthdr frag exists drop`,
    ...messages.flatMap(({ type, bytes, option }) => [
      `icmpv6 type ${type} ip6 saddr != :: ip6 length > ${bytes + optionBytes} drop`,
      `icmpv6 type ${type} @th,${bytes * 8},16 ${option} @th,${bytes * 8 + 16},48 != ${mac64(mac)} drop`,
    ]),
    `icmpv6 type nd-neighbor-advert jump ${targetChain}`,
    `ip6 saddr :: icmpv6 type nd-neighbor-solicit jump ${targetChain}`,
  ];
}

/** What an advertisement, or a duplicate address detection, may be about: the guest's own addresses. */
function targetRules(own6: readonly string[], gateways: readonly string[]): readonly string[] {
  return [
    ...forAny(own6.map(hexOf), (mine) => `${ndTarget} ${mine} return`),
    ...forAny(gateways.map(hexOf), (all) => `${ndTarget} ${all} drop`),
    `${ndTargetLinkLocal} return`,
    'drop',
  ];
}

/** The target by its bits after the ICMPv6 header's beginning (RFC 4861, 4.3 and 4.4): older nft has no name for it. */
const ndTarget = '@th,64,128';
/** The first ten bits of the target are fe80::/10. */
const ndTargetLinkLocal = '@th,64,10 0x3fa';
/** Type, length and an Ethernet address (RFC 4861, 4.6.1). */
const optionBytes = 8;

function forAny(members: readonly string[], rule: (all: string) => string): readonly string[] {
  return members.length === 0 ? [] : [rule(set(members))];
}

function mac64(mac: string): string {
  return `0x${mac.replaceAll(':', '')}`;
}

function hexOf(address: string): string {
  return `0x${ipaddr
    .parse(address)
    .toByteArray()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}`;
}

function isLinkLocal6(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).kind() === 'ipv6' && ipaddr.parse(address).range() === 'linkLocal';
}
