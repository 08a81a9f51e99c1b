import { dhcpRouteBytes, maxDhcpOptionBytes, type DnsConfig, type GuestInterface, type InterfaceRoute } from '../../model/network.ts';
import { familyOf, netmaskOf, networkOf, parseCidr, type Cidr } from '../address.ts';
import { bridgeName } from '../links/joint-scripts.ts';

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

const anywhere = '0.0.0.0/0';

/**
 * The arguments of a dnsmasq that serves exactly one guest, which is on no subnet of the bridges: `shared-network` lets it answer for a
 * subnet it has no address in (dnsmasq(8)). IPv6 goes by cloud-init: where there is no IPv4 address, the server listens to nothing, but
 * is there, as in every network.
 */
export function dnsmasqArguments(subject: DhcpSubject, place: DhcpPlace): readonly string[] {
  const served = subject.interfaces.flatMap((guest, index): readonly Served[] => {
    const address = primaryIpv4(guest);
    return address ? [{ index, guest, address }] : [];
  });
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

/** What is said on one bridge; a tag keeps it from the others. */
function nicArguments({ index, guest, address }: Served, dns: DnsConfig): readonly string[] {
  const [network = ''] = networkOf(address).split('/');
  const tag = `nic${index}`;
  return [
    `--interface=${bridgeName(index)}`,
    `--dhcp-range=${network},static,${netmaskOf(address.prefixLength)},infinite`,
    `--shared-network=${bridgeName(index)},${network}`,
    `--dhcp-host=${guest.mac},set:${tag},tag:!${declined},${address.address},infinite`,
    ...optionArguments(guest, tag, index === 0 ? dns : noDns),
  ];
}

const noDns: DnsConfig = { servers: [], searches: [], options: [] };

/** What DHCP gives an interface; nothing to a device, which no bridge of ours reaches. */
function primaryIpv4(guest: GuestInterface): Cidr | undefined {
  if (guest.virtualFunction) return undefined;
  return guest.addresses.map(({ cidr }) => parseCidr(cidr)).find((cidr) => cidr?.family === 4);
}

function optionArguments(guest: GuestInterface, tag: string, dns: DnsConfig): readonly string[] {
  const tagged = `tag:${tag},`;
  const routes = guest.routes.filter(({ destination }) => parseCidr(destination)?.family === 4);
  const router = routes.find(({ destination }) => destination === anywhere)?.gateway;
  const servers = fitting(
    dns.servers.filter((server) => familyOf(server) === 4),
    () => 4,
  );
  const searches = fitting(
    dns.searches.map((search) => search.replace(/\.$/, '')).filter((search) => search !== ''),
    (search) => search.length + 2, // uncompressed (RFC 3397)
  );
  const classless = classlessRoutes(routes);
  return [
    option(`${tagged}option:router`, router === undefined ? [] : [router]), // without a value it is not sent; else dnsmasq would name itself
    option(`${tagged}option:dns-server`, servers),
    ...(searches.length > 0
      ? [option(`${tagged}option:domain-search`, searches), option(`${tagged}option:domain-name`, searches.slice(0, 1))]
      : []),
    `--dhcp-option-force=${tagged}option:mtu,${guest.pathMtu ?? guest.mtu}`,
    ...(classless.length > 0 ? [`--dhcp-option-force=${tagged}option:classless-static-route,${classless.join(',')}`] : []),
  ];
}

/**
 * Option 121 (RFC 3442), only where option 3 is not enough: routes beside the default one, or a default route over a gateway outside
 * the subnet. It replaces option 3, so that the default route is in it too; 0.0.0.0 means "on the link". As many as one option holds:
 * those come last, and are left out first, that lead where the default route leads anyway.
 */
function classlessRoutes(routes: readonly InterfaceRoute[]): readonly string[] {
  const isPlain = routes.every(({ destination, gateway }) => destination === anywhere && gateway !== undefined);
  if (isPlain) return [];
  const router = routes.find(({ destination }) => destination === anywhere)?.gateway;
  const rank = ({ destination, gateway }: InterfaceRoute): number => {
    if (gateway === undefined) return 0; // first, since the gateways of the others are reached by these
    if (destination === anywhere) return 1;
    return gateway === router ? 3 : 2;
  };
  const values = routes
    .toSorted((a, b) => rank(a) - rank(b))
    .map(({ destination, gateway = '0.0.0.0' }) => ({ destination, text: `${destination},${gateway}` }));
  return fitting(values, ({ destination }) => dhcpRouteBytes(destination)).map(({ text }) => text);
}

/** The first of some values, as many as one option holds; the seed of cloud-init has them all. */
function fitting<T>(values: readonly T[], bytesOf: (value: T) => number): readonly T[] {
  let bytes = 0;
  return values.filter((value) => {
    bytes += bytesOf(value);
    return bytes <= maxDhcpOptionBytes; // dnsmasq refuses to start with a longer one
  });
}

function option(name: string, values: readonly string[]): string {
  return [`--dhcp-option=${name}`, ...values].join(',');
}

/** What tells a DHCP server of ours from any other process: its command line holds this. */
export function dhcpMark(place: Pick<DhcpPlace, 'pidFile'>): string {
  return `--pid-file=${place.pidFile}`;
}
