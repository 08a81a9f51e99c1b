import { dhcpRouteBytes, maxDhcpOptionBytes, type DnsConfig, type GuestInterface, type InterfaceRoute } from '../../model/network.ts';
import { contains, familyOf, parseCidr } from '../address.ts';

/** What there is to tell: as much as one option holds, and the rest, which only the seed of cloud-init has. */
interface Limited<T> {
  readonly told: readonly T[];
  readonly left: readonly T[];
}

/** The options of one interface whose length is not given by what they are. */
export interface LimitedOptions {
  readonly servers: Limited<string>;
  readonly searches: Limited<string>;
  /** Those of option 121; none where the router alone says it all. */
  readonly routes: Limited<InterfaceRoute>;
}

const anywhere = '0.0.0.0/0';

/** What an interface is told in options that could be too long. */
export function limitedOptions(guest: GuestInterface, dns: DnsConfig): LimitedOptions {
  return {
    servers: limited(
      dns.servers.filter((server) => familyOf(server) === 4),
      () => 4,
    ),
    searches: limited(
      dns.searches.map((search) => search.replace(/\.$/, '')).filter((search) => search !== ''),
      (search) => search.length + 2, // uncompressed (RFC 3397)
    ),
    routes: limited(classlessRoutes(ipv4Routes(guest)), ({ destination }) => dhcpRouteBytes(destination)),
  };
}

/** The interface's IPv4 routes. */
export function ipv4Routes({ routes }: GuestInterface): readonly InterfaceRoute[] {
  return routes.filter(({ destination }) => parseCidr(destination)?.family === 4);
}

/** Where the default route leads, if it leads over a router. */
export function routerOf(routes: readonly InterfaceRoute[]): string | undefined {
  return routes.find(({ destination }) => destination === anywhere)?.gateway;
}

/**
 * Option 121 (RFC 3442), only where option 3 is not enough: routes beside the default one, or a default route over a gateway outside
 * the subnet. It replaces option 3, so that the default route is in it too; a route without gateway is on the link. The default route comes
 * first, behind what its router is reached by; those come last, and are left out first, that lead where the default route leads anyway.
 */
function classlessRoutes(routes: readonly InterfaceRoute[]): readonly InterfaceRoute[] {
  const isPlain = routes.every(({ destination, gateway }) => destination === anywhere && gateway !== undefined);
  if (isPlain) return [];
  const router = routerOf(routes);
  const rank = ({ destination, gateway }: InterfaceRoute): number => {
    if (gateway === undefined && leadsTo(destination, router)) return 0;
    if (destination === anywhere) return 1;
    if (gateway === undefined) return 2; // before the others, whose gateways are reached by these
    return gateway === router ? 4 : 3;
  };
  return routes.toSorted((a, b) => rank(a) - rank(b));
}

function leadsTo(destination: string, router: string | undefined): boolean {
  const network = parseCidr(destination);
  return network !== undefined && router !== undefined && contains(network, router);
}

function limited<T>(values: readonly T[], bytesOf: (value: T) => number): Limited<T> {
  let bytes = 0;
  const told = values.filter((value) => {
    bytes += bytesOf(value);
    return bytes <= maxDhcpOptionBytes; // dnsmasq refuses to start with a longer one
  });
  return { told, left: values.slice(told.length) };
}
