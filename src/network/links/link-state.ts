import { z } from 'zod';
import { parseCidr, widthOf, type Cidr } from '../address.ts';

const address = z.object({
  family: z.enum(['inet', 'inet6']),
  local: z.string(),
  /** The other end, of a point-to-point address; the prefix length is then its. */
  address: z.string().optional(),
  prefixlen: z.int(),
  scope: z.string(),
  broadcast: z.string().optional(),
  dynamic: z.boolean().optional(),
  noprefixroute: z.boolean().optional(),
});
const route = z.object({
  type: z.string().optional(),
  dst: z.string(),
  gateway: z.string().optional(),
  via: z.object({ family: z.string(), host: z.string() }).optional(),
  table: z.union([z.string(), z.int()]).optional(),
  protocol: z.string().optional(),
  scope: z.string().optional(),
  prefsrc: z.string().optional(),
  metric: z.int().optional(),
  flags: z.array(z.string()).optional(),
  metrics: z.array(z.object({ mtu: z.int().optional(), advmss: z.int().optional() })).optional(),
});
const link = z.object({
  ifindex: z.int().optional(),
  ifname: z.string(),
  link_type: z.string(),
  address: z.string().optional(),
  mtu: z.int(),
  linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
  parentbus: z.string().optional(),
  parentdev: z.string().optional(),
  addr_info: z.array(address),
});

/** A route as the kernel has it (`ip -json -details route`), of the family that it was listed under. */
export type LinkRoute = z.infer<typeof route> & { readonly family: 4 | 6 };

/** The CNI's interface as ADD left it: everything that has to be put back before DEL. */
export interface LinkState {
  readonly name: string;
  /** Kind of link in the kernel's words (`veth`), empty for a physical device. */
  readonly kind: string;
  readonly linkType: string;
  /** Of the device that it is, `0000:3b:02.1`; absent for what is not on the PCI bus itself, and with Linux before 5.14. */
  readonly pciAddress?: string;
  /** Empty where the kind of link has none. */
  readonly mac: string;
  readonly mtu: number;
  readonly ipv6Disabled: boolean;
  /** Addresses that somebody set; those that the kernel makes up (link-local, by advertisement) come back by themselves. */
  readonly addresses: readonly z.infer<typeof address>[];
  /** Routes out of the interface in all tables but the kernel's own. */
  readonly routes: readonly LinkRoute[];
}

/** What a link's state is in a record. */
export const linkStateSchema: z.ZodType<LinkState> = z.strictObject({
  name: z.string(),
  kind: z.string(),
  linkType: z.string(),
  pciAddress: z.string().exactOptional(),
  mac: z.string(),
  mtu: z.int(),
  ipv6Disabled: z.boolean(),
  addresses: z.array(address),
  routes: z.array(route.extend({ family: z.union([z.literal(4), z.literal(6)]) })),
});

/** Devices that the kernel puts into every namespace, one for each kind of tunnel it knows. */
const ofTheKernel = ['all', 'default', 'lo', 'tunl0', 'gre0', 'gretap0', 'erspan0', 'ip_vti0', 'ip6_vti0', 'sit0', 'ip6tnl0', 'ip6gre0'];

/**
 * A shell program for the pod's netns that prints the state of each interface: one line with `disable_ipv6`, then three JSON documents,
 * one a line. One process tree for all; nothing of a pod is in its text.
 */
export const linkStateProgram = [
  'cd /proc/sys/net/ipv4/conf || exit 1',
  'for name in *; do',
  `case $name in ${ofTheKernel.join(' | ')}) continue ;; esac`,
  'value=1',
  'read -r value < "/proc/sys/net/ipv6/conf/$name/disable_ipv6"',
  'echo "$value"',
  'ip -details -json address show dev "$name" && echo &&',
  'ip -4 -details -json route show table all dev "$name" && echo &&',
  'ip -6 -details -json route show table all dev "$name" && echo || exit 1',
  'done',
].join('\n');

/** Reads what `linkStateProgram` printed, in the order in which the interfaces were made. Throws when it is not that. */
export function parseLinkStates(text: string): readonly LinkState[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const blocks = Array.from({ length: Math.ceil(lines.length / 4) }, (_, index) => lines.slice(index * 4, index * 4 + 4));
  return blocks
    .map((block) => ({ state: parseLinkState(block.join('\n')), made: z.array(link).parse(JSON.parse(block[1] ?? '[]'))[0]?.ifindex ?? 0 }))
    .toSorted((a, b) => a.made - b.made)
    .map(({ state }) => state);
}

/** Reads one interface of that. Throws when it is none. */
export function parseLinkState(text: string): LinkState {
  const [disabled = '', ...documents] = text.split('\n').filter((line) => line.trim() !== '');
  const [links, routes4, routes6] = documents.map((line): unknown => JSON.parse(line));
  const [found] = z.array(link).parse(links);
  if (!found) throw new Error('ip told of no interface');
  const routes = [...readRoutes(4, routes4), ...readRoutes(6, routes6)];
  return {
    name: found.ifname,
    kind: found.linkinfo?.info_kind ?? '',
    linkType: found.link_type,
    ...(found.parentbus === 'pci' && found.parentdev !== undefined ? { pciAddress: found.parentdev } : {}),
    mac: found.address ?? '',
    mtu: found.mtu,
    ipv6Disabled: disabled.trim() !== '0',
    addresses: found.addr_info.filter(({ scope, dynamic }) => scope !== 'link' && dynamic !== true),
    routes,
  };
}

function readRoutes(family: 4 | 6, value: unknown): readonly LinkRoute[] {
  return z
    .array(route)
    .parse(value ?? [])
    .filter(
      ({ table, type = 'unicast', dst, protocol }) => table !== 'local' && type === 'unicast' && dst !== 'fe80::/64' && protocol !== 'ra',
    )
    .map((found) => ({ ...found, family }));
}

/** Why an interface cannot be put on a bridge, and what to use instead; `undefined` when it can. */
export function whyNotBridgeable(state: LinkState): string | undefined {
  const fix = 'use a plugin that makes a veth pair or a macvlan, such as bridge, ptp or macvlan';
  if (['ipvlan', 'ipvtap', 'macvtap'].includes(state.kind)) {
    return `it made an interface of type ${state.kind}, which cannot carry a VM's frames over a bridge: ${state.name}; ${fix}`;
  }
  return state.linkType === 'ether'
    ? undefined
    : `it made an interface of type ${state.linkType}, not an Ethernet one: ${state.name}; ${fix}`;
}

/** A route's destination with prefix length. */
export function destinationOf(found: LinkRoute): string {
  if (found.dst === 'default') return found.family === 4 ? '0.0.0.0/0' : '::/0';
  return found.dst.includes('/') ? found.dst : `${found.dst}/${widthOf(found.family)}`;
}

/** A route's next hop, of its own family. */
export function gatewayOf(found: LinkRoute): string | undefined {
  return found.gateway ?? (found.via?.family === (found.family === 4 ? 'inet' : 'inet6') ? found.via.host : undefined);
}

/** The addresses of a state, taken apart. */
export function cidrsOf(state: LinkState): readonly Cidr[] {
  return state.addresses.flatMap(({ address: peer, local, prefixlen }) => parseCidr(`${peer ?? local}/${prefixlen}`) ?? []);
}
