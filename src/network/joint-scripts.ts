import { randomBytes } from 'node:crypto';
import { networkOf } from './address.ts';
import { cidrsOf, destinationOf, type LinkRoute, type LinkState } from './link-state.ts';

/** The bridge in the pod's netns that carries the CNI's interface and the VM's tap. */
export const bridgeName = 'vmlet0';

/** The bridge's address: what DHCP is served from; link-local (RFC 3927), so that it clashes with no pod's subnet. */
export const bridgeAddress = '169.254.254.254';

/** A random unicast MAC that is locally administered (IEEE 802, section 8.2), for what must no longer have the guest's. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

const setValue = 'set_value() { if [ -e "$1" ]; then echo "$2" > "$1"; fi; }';

/**
 * A shell program for the pod's netns: the CNI's interface `$1` and the tap `$2` lose their IPv6, what is made from here on has none, and
 * bridged frames do not go through the netns' own iptables; then stdin is a batch of `ip`. One process start for all of it.
 */
export const joinProgram = [
  setValue,
  'for name in default "$1" "$2"; do set_value "/proc/sys/net/ipv6/conf/$name/disable_ipv6" 1; done',
  'for kind in iptables ip6tables arptables; do set_value "/proc/sys/net/bridge/bridge-nf-call-$kind" 0; done',
  'exec ip -batch -',
].join('\n');

/**
 * A shell program for the pod's netns that undoes a join, also one that was cut short: the CNI's interface `$1` gets its MAC `$2` and MTU
 * `$3` back, going down for it if `$5` is `down`; only then its IPv6 (`$4` is `disable_ipv6`), so that the link-local address is made
 * from the right MAC; then stdin is a batch of `ip` that goes on after errors.
 */
export const restoreProgram = [
  setValue,
  `if [ -e /proc/sys/net/ipv4/conf/${bridgeName} ]; then ip link del dev ${bridgeName}; fi`,
  'ip addr flush dev "$1"',
  'if [ "$5" = down ]; then ip link set dev "$1" down; fi',
  'ip link set dev "$1" nomaster address "$2" mtu "$3"',
  'set_value "/proc/sys/net/ipv6/conf/$1/disable_ipv6" "$4"',
  'exec ip -force -batch -',
].join('\n');

/** The arguments of `restoreProgram`. */
export function restoreArguments({ name, mac, mtu, ipv6Disabled, kind }: LinkState): readonly string[] {
  return [name, mac, String(mtu), ipv6Disabled ? '1' : '0', kind === 'veth' ? '' : 'down'];
}

/** The batch that makes a VM's tap in the host's namespace: persistent, owned by `uid`, with virtio headers, down and silent. */
export function tapScript(tap: string, uid: number, leftover: boolean): string {
  return script([...(leftover ? [`link del dev ${tap}`] : []), `tuntap add dev ${tap} mode tap user ${uid} vnet_hdr`]);
}

/**
 * The batch that bridges the CNI's interface with the tap. The interface keeps no address, and another MAC, since its own now belong to
 * the guest; a veth changes its MAC while up, so that no bridge of the host sees the port go down.
 */
export function joinScript(state: LinkState, tap: string, macs: { readonly bridge: string; readonly port: string }): string {
  const { name, mtu, kind } = state;
  return script([
    `link add name ${bridgeName} address ${macs.bridge} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `addr add ${bridgeAddress}/32 dev ${bridgeName}`,
    `addr flush dev ${name}`,
    ...(kind === 'veth' ? [] : [`link set dev ${name} down`]),
    `link set dev ${name} address ${macs.port}`,
    `link set dev ${name} master ${bridgeName} up`,
    `link set dev ${bridgeName} up`,
    plugTap(tap, mtu),
  ]);
}

/** The batch that puts the tap of the sandbox's next VM on the bridge that is there. */
export function rejoinScript(state: LinkState, tap: string): string {
  return script([plugTap(tap, state.mtu)]);
}

/**
 * The batch of `restoreProgram`: addresses and routes as ADD left them. The prefix routes that the kernel adds with an address go where
 * ADD had removed them.
 */
export function restoreScript(state: LinkState): string {
  const { name } = state;
  const kept = new Set(state.routes.filter(({ protocol }) => protocol === 'kernel').map((route) => destinationOf(route)));
  const surplus = new Set(
    cidrsOf(state)
      .filter(({ family, prefixLength }) => prefixLength < (family === 4 ? 32 : 128))
      .map((cidr) => networkOf(cidr)),
  );
  return script([
    `link set dev ${name} up`,
    ...state.addresses.map((address) => addressLine(address, name)),
    ...[...surplus].filter((network) => !kept.has(network)).map((network) => `route del ${network} dev ${name} proto kernel`),
    ...state.routes
      .filter(({ protocol }) => protocol !== 'kernel')
      .toSorted((a, b) => Number(hasGateway(a)) - Number(hasGateway(b)))
      .map((route) => routeLine(route, name)),
  ]);
}

function plugTap(tap: string, mtu: number): string {
  return `link set dev ${tap} mtu ${mtu} master ${bridgeName} up`;
}

function addressLine(address: LinkState['addresses'][number], name: string): string {
  const { family, local, address: peer, prefixlen, broadcast, noprefixroute } = address;
  const where = peer === undefined ? `${local}/${prefixlen}` : `${local} peer ${peer}/${prefixlen}`;
  const more = [
    ...word('broadcast', broadcast),
    ...(family === 'inet6' ? ['nodad'] : []),
    ...(noprefixroute === true ? ['noprefixroute'] : []),
  ];
  return ['addr add', where, 'dev', name, ...more].join(' ');
}

function routeLine(route: LinkRoute, name: string): string {
  const { via, flags = [], metrics: [numbers] = [] } = route;
  const words = [
    ...word('via', route.gateway),
    ...word('via', via && `${via.family} ${via.host}`),
    ...word('dev', name),
    ...word('table', route.table),
    ...word('proto', route.protocol),
    ...word('scope', route.family === 4 ? route.scope : undefined),
    ...word('src', route.prefsrc),
    ...word('metric', route.metric),
    ...word('mtu', numbers?.mtu),
    ...word('advmss', numbers?.advmss),
    ...(flags.includes('onlink') ? ['onlink'] : []),
  ];
  return ['route replace', destinationOf(route), ...words].join(' ');
}

function word(key: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [`${key} ${value}`];
}

function hasGateway(route: LinkRoute): boolean {
  return route.gateway !== undefined || route.via !== undefined;
}

function script(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
