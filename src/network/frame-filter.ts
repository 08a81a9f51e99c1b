import ipaddr from 'ipaddr.js';
import type { GuestInterface } from '../model/network.ts';
import { familyOf, parseCidr } from './address.ts';

/** One interface of a guest: the CNI's end, the VM's end, and what the guest was given. */
export interface FilteredNic {
  /** The CNI's interface. */
  readonly port: string;
  readonly tap: string;
  readonly guest: Pick<GuestInterface, 'mac' | 'addresses' | 'routes'>;
}

/**
 * The nftables script for the pod's netns. On the CNI's side it keeps address configuration in the pod: no DHCP (RFC 2131), DHCPv6
 * (RFC 8415) or router advertisement (RFC 4861) passes in either direction, so that no other pod answers this guest or is answered by it;
 * and the netns' own stack, which serves DHCP to the guest, neither hears nor sends anything there. With `antiSpoofing` a frame from a tap
 * goes no further unless its MAC, IP, ARP and NDP sender are the guest's own. It replaces a table of ours that is there.
 */
export function frameFilter(nics: readonly FilteredNic[], antiSpoofing: boolean): string {
  const addressing = ['udp dport { 67, 68, 546, 547 } drop', 'udp sport { 67, 547 } drop', 'icmpv6 type nd-router-advert drop'];
  const forward = nics.flatMap(({ port }) =>
    ['iifname', 'oifname'].flatMap((side) => addressing.map((rule) => `${side} "${port}" ${rule}`)),
  );
  const closed = (side: string): readonly string[] => nics.map(({ port }) => `${side} "${port}" drop`);
  const chains = [
    ...chain('forward', ['type filter hook forward priority 0; policy accept;', ...forward]),
    ...chain('input', ['type filter hook input priority 0; policy accept;', ...closed('iifname')]),
    ...chain('output', ['type filter hook output priority 0; policy accept;', ...closed('oifname')]),
    ...(antiSpoofing ? guestChains(nics) : []),
  ];
  return ['table bridge vmlet', 'delete table bridge vmlet', 'table bridge vmlet {', ...chains.map((line) => `  ${line}`), '}', ''].join(
    '\n',
  );
}

function guestChains(nics: readonly FilteredNic[]): readonly string[] {
  const senders = nics.flatMap(({ guest }, index) => senderChains(guest, index));
  // Before anything else sees the frame, the bridge's table of addresses and the DHCP server included.
  const jumps = nics.map(({ tap }, index) => `iifname "${tap}" jump guest${index}`);
  return [...senders, ...chain('prerouting', ['type filter hook prerouting priority -300; policy accept;', ...jumps])];
}

/**
 * What one guest may send. Where CNI gave no address, the guest may have any (a network without IPAM). Link-local IPv6 addresses are made
 * by the guest, of whatever form (RFC 4862, RFC 7217), so that all of them are its own but the gateways'. Frames that are neither IP nor
 * ARP are dropped: inside a VLAN tag anything could be said.
 */
function senderChains({ mac, addresses, routes }: FilteredNic['guest'], index: number): readonly string[] {
  const own = addresses.flatMap(({ cidr }) => parseCidr(cidr)?.address ?? []);
  const name = `guest${index}`;
  if (own.length === 0) return chain(name, [`ether saddr != ${mac} drop`]);
  const own4 = own.filter((address) => familyOf(address) === 4);
  const own6 = own.filter((address) => familyOf(address) === 6);
  const near = [...routes.map(({ gateway }) => gateway), ...addresses.map(({ gateway }) => gateway)];
  const gateways = [...new Set(near.filter((gateway) => gateway !== undefined && isLinkLocal6(gateway)))] as readonly string[];
  const ofGateways = (rule: (all: string) => string, form = (text: string): string => text): readonly string[] =>
    gateways.length === 0 ? [] : [rule(set(gateways.map(form)))];
  const fromOwn = (family: string, mine: readonly string[]): readonly string[] =>
    mine.length === 0 ? [] : [`${family} saddr ${set(mine)} accept`];
  return [
    ...chain(`${name}_nd`, [
      `icmpv6 type nd-neighbor-advert ${linkLayerOption} 0x0201 ${linkLayerAddress} != ${mac64(mac)} drop`,
      ...(own6.length === 0 ? [] : [`${ndTarget} ${set(own6.map(hexOf))} return`]),
      ...ofGateways((all) => `${ndTarget} ${all} drop`, hexOf),
      `${ndTargetLinkLocal} return`,
      'drop',
    ]),
    ...chain(name, [
      `ether saddr != ${mac} drop`,
      `ether type arp arp saddr ether ${mac} arp saddr ip ${set([...own4, '0.0.0.0'])} accept`,
      ...fromOwn('ip', own4),
      'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
      'icmpv6 type { nd-router-advert, nd-redirect } drop',
      `icmpv6 type nd-neighbor-solicit ${linkLayerOption} 0x0101 ${linkLayerAddress} != ${mac64(mac)} drop`,
      `icmpv6 type nd-neighbor-advert jump ${name}_nd`,
      `ip6 saddr :: icmpv6 type nd-neighbor-solicit jump ${name}_nd`,
      'ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } accept',
      ...ofGateways((all) => `ip6 saddr ${all} drop`),
      'ip6 saddr fe80::/10 accept',
      ...fromOwn('ip6', own6),
      'drop',
    ]),
  ];
}

/** Fields of neighbour discovery messages by their bits after the ICMPv6 header's beginning (RFC 4861, 4.3 and 4.4): older nft has no names. */
const ndTarget = '@th,64,128';
/** The first ten bits of the target are fe80::/10. */
const ndTargetLinkLocal = '@th,64,10 0x3fa';
/** Type and length of the first option, and the link-layer address in it (RFC 4861, 4.6.1). */
const linkLayerOption = '@th,192,16';
const linkLayerAddress = '@th,208,48';

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

function set(members: readonly string[]): string {
  return `{ ${[...new Set(members)].join(', ')} }`;
}

function chain(name: string, rules: readonly string[]): readonly string[] {
  return [`chain ${name} {`, ...rules.map((rule) => `  ${rule}`), '}'];
}
