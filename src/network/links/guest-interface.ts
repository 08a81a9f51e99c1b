import type { GuestInterface, InterfaceAddress, InterfaceRoute } from '../../model/network.ts';
import { networkOf, parseCidr, widthOf } from '../address.ts';
import { destinationOf, gatewayOf, type LinkRoute, type LinkState } from './link-state.ts';

/** What the kernel gives a route of IPv6 for which nobody chose a metric (net/ipv6_route.h, IP6_RT_PRIO_USER). */
const usualIpv6Metric = 1024;
/** RFC 8200, section 5: with less an interface loses its IPv6 addresses. */
const leastIpv6Mtu = 1280;

/**
 * The interface as a guest has to be told: addresses from the CNI result, everything else from the kernel, since some plugins set
 * routes that their result leaves out. An address whose network is not on the link (ptp, Calico) becomes one of full length, or the
 * guest would ask for its neighbours where nobody answers.
 */
export function guestInterface(state: LinkState, addresses: readonly InterfaceAddress[]): GuestInterface {
  const main = state.routes.filter(({ table = 'main' }) => table === 'main');
  const onLink = new Set(main.filter((found) => gatewayOf(found) === undefined).map((found) => destinationOf(found)));
  const connected = new Set<string>();
  const told = addresses.map(({ cidr, ...rest }): InterfaceAddress => {
    const parsed = parseCidr(cidr);
    if (!parsed) return { cidr, ...rest };
    const network = networkOf(parsed);
    if (onLink.has(network)) connected.add(network);
    return { cidr: `${parsed.address}/${onLink.has(network) ? parsed.prefixLength : widthOf(parsed.family)}`, ...rest };
  });
  const pathMtu = pathMtuOf(state.mtu, main);
  return {
    name: state.name,
    mac: state.mac,
    mtu: state.mtu,
    ...(pathMtu === undefined ? {} : { pathMtu }),
    addresses: told,
    routes: guestRoutes(main).filter(({ destination }) => !connected.has(destination)),
  };
}

/**
 * The main table's routes as a guest is told of them, one for each destination: the kernel would prefer the one of the lowest metric, and
 * neither DHCP nor every cloud-init can say of two which counts. Tables, scopes and advertised segment sizes stay untold.
 */
export function guestRoutes(main: readonly LinkRoute[]): readonly InterfaceRoute[] {
  const preferred = new Map<string, LinkRoute>();
  for (const route of main) {
    const destination = destinationOf(route);
    const before = preferred.get(destination);
    if (before === undefined || (route.metric ?? 0) < (before.metric ?? 0)) preferred.set(destination, route);
  }
  return [...preferred].map(([destination, route]) => {
    const gateway = gatewayOf(route);
    const metric = route.family === 6 && route.metric === usualIpv6Metric ? undefined : route.metric;
    return { destination, ...(gateway === undefined ? {} : { gateway }), ...(metric === undefined ? {} : { metric }) };
  });
}

/**
 * The least MTU of the routes, where that is less than the device's: a network such as Cilium's leaves room for its overlay on the routes
 * alone, and DHCP has none for a route. `undefined` where the device's is right.
 */
export function pathMtuOf(deviceMtu: number, main: readonly LinkRoute[]): number | undefined {
  const mtus = main.flatMap(({ metrics = [] }) => metrics.flatMap(({ mtu }) => mtu ?? []));
  const least = Math.max(leastIpv6Mtu, Math.min(deviceMtu, ...mtus));
  return least < deviceMtu ? least : undefined;
}
