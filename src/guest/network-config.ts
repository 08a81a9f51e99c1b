import ipaddr from 'ipaddr.js';
import { dhcpRouteBytes, maxDhcpOptionBytes, type DnsConfig, type GuestInterface, type InterfaceRoute } from '../model/network.ts';

/** The guest's part of the pod's network. */
export interface GuestNetwork {
  readonly interfaces: readonly GuestInterface[];
  readonly dns: DnsConfig;
}

/**
 * cloud-init's network-config version 2 (its documentation, "Networking config Version 2"): static addresses of both families as CNI
 * gave them, found by MAC, or IPv4 by DHCP where more guests understand that. Resolver options (`ndots`) have no place in that format.
 * Router advertisements are refused: the pod's network is CNI's answer and nothing else.
 */
export function networkConfig({ interfaces, dns }: GuestNetwork): object {
  return {
    version: 2,
    ethernets: Object.fromEntries(interfaces.map((guest) => [guest.name, ethernet(guest, dns)])),
  };
}

function ethernet(guest: GuestInterface, dns: DnsConfig): object {
  const byDhcp = needsDhcp(guest);
  const addresses = guest.addresses.map(({ cidr }) => cidr).filter((cidr) => !(byDhcp && isIpv4(cidr)));
  const routes = guest.routes
    .filter(({ destination }) => !(byDhcp && isIpv4(destination)))
    .flatMap((route) => told(route))
    .map((route) => routeEntry(route, guest));
  const search = dns.searches.map((domain) => domain.replace(/(?<=.)\.$/, ''));
  const nameservers = {
    ...(dns.servers.length > 0 ? { addresses: dns.servers } : {}),
    ...(search.length > 0 ? { search } : {}),
  };
  return {
    match: { macaddress: guest.mac },
    'set-name': guest.name,
    mtu: guest.pathMtu ?? guest.mtu,
    dhcp4: byDhcp,
    dhcp6: false,
    'accept-ra': false,
    addresses,
    ...(routes.length > 0 ? { routes } : {}),
    ...(Object.keys(nameservers).length > 0 ? { nameservers } : {}),
  };
}

/**
 * True for an interface whose IPv4 routes are on the link, or lead over a gateway that is in no address's network (`169.254.1.1` for a
 * /32). Of cloud-init's renderers netplan's and networkd's alone know `on-link`, and NetworkManager's stops at a route without a gateway
 * (canonical/cloud-init pull request 4829), whereas every DHCP client knows such routes (RFC 3442). Not where DHCP would tell less: it has
 * one address, 255 bytes of routes, and no server of ours reaches a device.
 */
function needsDhcp(guest: GuestInterface): boolean {
  const routes = guest.routes.filter(({ destination }) => isIpv4(destination));
  const isFar = ({ gateway }: InterfaceRoute): boolean => gateway === undefined || !isNear(guest, gateway);
  const isToldWhole =
    guest.addresses.filter(({ cidr }) => isIpv4(cidr)).length === 1 &&
    routes.reduce((bytes, { destination }) => bytes + dhcpRouteBytes(destination), 0) <= maxDhcpOptionBytes;
  return !guest.virtualFunction && isToldWhole && routes.some(isFar);
}

/**
 * cloud-init before 23.1 (Debian 12 has 22.4.2) writes `::/0` as `::/64` wherever it does not hand the document on to netplan
 * (canonical/cloud-init pull request 1973): the two halves of the default route go with it. `gateway6` would do too, but later versions
 * warn that it is deprecated.
 */
function told(route: InterfaceRoute): readonly InterfaceRoute[] {
  return [route, ...(route.destination === '::/0' ? ['::/1', '8000::/1'].map((destination) => ({ ...route, destination })) : [])];
}

/** A route over a gateway that no address's network holds (`169.254.1.1` for a /32) needs `on-link`, or the kernel refuses it. */
function routeEntry({ destination, gateway, metric }: InterfaceRoute, guest: GuestInterface): object {
  const preference = metric === undefined ? {} : { metric };
  if (gateway === undefined) return { to: destination, scope: 'link', ...preference };
  return { to: destination, via: gateway, ...(isNear(guest, gateway) ? {} : { 'on-link': true }), ...preference };
}

function isNear({ addresses }: GuestInterface, gateway: string): boolean {
  return addresses.some(({ cidr }) => contains(cidr, gateway));
}

function isIpv4(cidr: string): boolean {
  return ipaddr.parseCIDR(cidr)[0] instanceof ipaddr.IPv4;
}

function contains(cidr: string, address: string): boolean {
  const [network, length] = ipaddr.parseCIDR(cidr);
  const candidate = ipaddr.parse(address);
  if (candidate instanceof ipaddr.IPv6)
    return network instanceof ipaddr.IPv6 && (isLinkLocal(candidate) || candidate.match(network, length));
  return network instanceof ipaddr.IPv4 && candidate.match(network, length);
}

function isLinkLocal(address: ipaddr.IPv6): boolean {
  return address.range() === 'linkLocal';
}
