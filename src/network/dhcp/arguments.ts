import type { DnsConfig, GuestInterface } from '../../model/network.ts';
import { netmaskOf, networkOf, parseCidr, type Cidr } from '../address.ts';
import { bridgeName } from '../links/joint-scripts.ts';
import { ipv4Routes, limitedOptions, routerOf } from './limited-options.ts';

/** What a DHCP server is told. */
export interface DhcpSubject {
  /** The guest's interfaces in order: the first one is told of DNS. */
  readonly interfaces: readonly GuestInterface[];
  readonly dns: DnsConfig;
  readonly hostname: string;
}

/** Where a DHCP server keeps its own things, and whom it runs as. */
export interface DhcpPlace {
  readonly pidFile: string;
  readonly leaseFile: string;
  readonly user: string;
}

/**
 * Tag of DHCPDECLINE (RFC 2131, 4.3.3), for which the host is none that dnsmasq knows: it would not offer the address to anyone for ten
 * minutes, on the word of whoever answers the guest's ARP probe. There is no other address to give.
 */
const declined = 'declined';

/**
 * The arguments of a dnsmasq that serves exactly one guest, which is on no subnet of the bridges: `shared-network` lets it answer for a
 * subnet it has no address in (dnsmasq(8)). IPv6 goes by cloud-init: where there is no IPv4 address, the server listens to nothing, but
 * is there, as in every network.
 */
export function dnsmasqArguments(subject: DhcpSubject, place: DhcpPlace): readonly string[] {
  const served = servedBy(subject);
  return [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    `--pid-file=${place.pidFile}`,
    `--dhcp-leasefile=${place.leaseFile}`,
    `--user=${place.user}`,
    '--log-facility=/dev/null', // what a guest can make it say must not fill the disk; errors of the start go to stderr
    '--quiet-dhcp',
    '--port=0',
    '--no-resolv',
    '--no-hosts',
    '--no-ping',
    '--bind-interfaces',
    '--except-interface=lo',
    '--dhcp-authoritative',
    `--dhcp-match=set:${declined},53,4b`,
    ...(subject.hostname === '' ? [] : [option('12', [subject.hostname])]),
    ...served.flatMap((nic) => nicArguments(nic, subject.dns)),
  ];
}

/** An interface that has an IPv4 address to serve. */
interface Served {
  readonly index: number;
  readonly guest: GuestInterface;
  readonly address: Cidr;
}

function servedBy({ interfaces }: Pick<DhcpSubject, 'interfaces'>): readonly Served[] {
  return interfaces.flatMap((guest, index) => {
    const address = primaryIpv4(guest);
    return address ? [{ index, guest, address }] : [];
  });
}

/**
 * What DHCP does not tell of DNS and routes, since it is more than an option holds; but for routes that lead where the default route leads.
 * `undefined` when it tells all.
 */
export function untoldByDhcp(subject: Omit<DhcpSubject, 'hostname'>): object | undefined {
  const untold = servedBy(subject).map(({ index, guest }) => {
    const { servers, searches, routes } = limitedOptions(guest, dnsAt(index, subject.dns));
    const router = routerOf(ipv4Routes(guest));
    const needed = routes.left.filter(({ gateway }) => gateway === undefined || gateway !== router).map(({ destination }) => destination);
    return { servers: servers.left, searches: searches.left, routes: needed };
  });
  const all = {
    servers: untold.flatMap(({ servers }) => servers),
    searches: untold.flatMap(({ searches }) => searches),
    routes: untold.flatMap(({ routes }) => routes),
  };
  return Object.values(all).some((left) => left.length > 0) ? all : undefined;
}

/** What is said on one bridge; a tag keeps it from the others. */
function nicArguments({ index, guest, address }: Served, dns: DnsConfig): readonly string[] {
  const [network = ''] = networkOf(address).split('/');
  const tag = `nic${index}`;
  return [
    `--interface=${bridgeName(index)}`,
    `--dhcp-range=${network},static,${netmaskOf(address.prefixLength)},infinite`,
    `--shared-network=${bridgeName(index)},${network}`,
    `--dhcp-host=${guest.mac},set:${tag},tag:!${declined},${address.address},infinite`,
    ...optionArguments(guest, tag, dnsAt(index, dns)),
  ];
}

/** DNS is told on the first interface. */
function dnsAt(index: number, dns: DnsConfig): DnsConfig {
  return index === 0 ? dns : { servers: [], searches: [], options: [] };
}

/** What DHCP gives an interface; nothing to a device, which no bridge of ours reaches. */
function primaryIpv4(guest: GuestInterface): Cidr | undefined {
  if (guest.virtualFunction) return undefined;
  return guest.addresses.map(({ cidr }) => parseCidr(cidr)).find((cidr) => cidr?.family === 4);
}

function optionArguments(guest: GuestInterface, tag: string, dns: DnsConfig): readonly string[] {
  const tagged = `tag:${tag},`;
  const router = routerOf(ipv4Routes(guest));
  const limited = limitedOptions(guest, dns);
  const searches = limited.searches.told;
  const classless = limited.routes.told.map(({ destination, gateway = '0.0.0.0' }) => `${destination},${gateway}`);
  return [
    option(`${tagged}option:router`, router === undefined ? [] : [router]), // without a value it is not sent; else dnsmasq would name itself
    option(`${tagged}option:dns-server`, limited.servers.told),
    // What comes last dnsmasq writes first: of a client's 576 bytes the domain, which is the first of the list, is what may go without.
    ...(searches.length > 0
      ? [option(`${tagged}option:domain-name`, searches.slice(0, 1)), option(`${tagged}option:domain-search`, searches)]
      : []),
    `--dhcp-option-force=${tagged}option:mtu,${guest.pathMtu ?? guest.mtu}`,
    ...(classless.length > 0 ? [`--dhcp-option-force=${tagged}option:classless-static-route,${classless.join(',')}`] : []),
  ];
}

function option(name: string, values: readonly string[]): string {
  return [`--dhcp-option=${name}`, ...values].join(',');
}

/** What tells a DHCP server of ours from any other process: its command line holds this. */
export function dhcpMark(place: Pick<DhcpPlace, 'pidFile'>): string {
  return `--pid-file=${place.pidFile}`;
}
