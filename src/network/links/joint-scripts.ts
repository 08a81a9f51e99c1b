import { randomBytes } from 'node:crypto';
import { networkOf } from '../address.ts';
import { cidrsOf, destinationOf, type LinkRoute, type LinkState } from './link-state.ts';

/** One interface of a pod's VM by its place in the order of interfaces, from 0. */
export interface Nic {
  readonly index: number;
  /** The CNI's end. */
  readonly link: LinkState;
  /** The VM's end. */
  readonly tap: string;
}

/** The bridge in the pod's netns that carries the CNI's interface and the VM's tap. */
export function bridgeName(index: number): string {
  return `vmlet${index}`;
}

/** The bridge's address: what DHCP is served from; link-local (RFC 3927), so that it clashes with no pod's subnet. */
export function bridgeAddress(index: number): string {
  return `169.254.254.${254 - index}`;
}

/** A random unicast MAC that is locally administered (IEEE 802, section 8.2), for what must no longer have the guest's. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

const setValue = 'set_value() { if [ -e "$1" ]; then echo "$2" > "$1"; fi; }';

/**
 * A shell program for the pod's netns: the CNI's interfaces and the taps, its arguments, lose their IPv6, what is made from here on has
 * none, and bridged frames do not go through the netns' own iptables. Nothing is routed there either (a netns has IPv4's forwarding from
 * the node), so that no guest reaches another interface by the bridge's MAC. Then stdin is a batch of `ip`. One process start for all of it.
 */
export const joinProgram = [
  setValue,
  'for name in default "$@"; do set_value "/proc/sys/net/ipv6/conf/$name/disable_ipv6" 1; done',
  'for kind in iptables ip6tables arptables; do set_value "/proc/sys/net/bridge/bridge-nf-call-$kind" 0; done',
  'for file in ipv4/ip_forward ipv6/conf/all/forwarding; do set_value "/proc/sys/net/$file" 0; done',
  'exec ip -batch -',
].join('\n');

/**
 * A shell program for the pod's netns that undoes a join, also one that was cut short: the CNI's interface `$1` gets its MAC `$2` and MTU
 * `$3` back, going down for it if `$5` is `down`; only then its IPv6 (`$4` is `disable_ipv6`), so that the link-local address is made
 * from the right MAC; then stdin is a batch of `ip`. `$6` is the bridge. It goes on after errors, and its exit status tells of any.
 */
export const restoreProgram = [
  setValue,
  'status=0',
  'if [ -e "/proc/sys/net/ipv4/conf/$6" ]; then ip link del dev "$6" || status=1; fi',
  'ip addr flush dev "$1" || status=1',
  'if [ "$5" = down ]; then ip link set dev "$1" down || status=1; fi',
  'ip link set dev "$1" nomaster address "$2" mtu "$3" || status=1',
  'set_value "/proc/sys/net/ipv6/conf/$1/disable_ipv6" "$4" || status=1',
  'ip -force -batch - || status=1',
  'exit $status',
].join('\n');

/** The arguments of `restoreProgram`. */
export function restoreArguments({ name, mac, mtu, ipv6Disabled, kind }: LinkState, index: number): readonly string[] {
  return [name, mac, String(mtu), ipv6Disabled ? '1' : '0', kind === 'veth' ? '' : 'down', bridgeName(index)];
}

/**
 * A shell program for the pod's netns that puts a bridge without ports in the place of the CNI's interface, named `$1`, with MAC `$2`, MTU
 * `$3` and address `$4`, or with `$4` empty removes it again. A node on which VMs are joined has that kind of link in its kernel.
 */
export const standInProgram = [
  'if [ -e "/proc/sys/net/ipv4/conf/$1" ]; then ip link del dev "$1" || exit 1; fi',
  'if [ -z "$4" ]; then exit 0; fi',
  'ip link add name "$1" address "$2" mtu "$3" up type bridge || exit 1',
  'echo 0 > "/proc/sys/net/ipv6/conf/$1/disable_ipv6"', // where the kernel has no IPv6 there is no such address either
  'exec ip addr add "$4" dev "$1"',
].join('\n');

/** The arguments of `standInProgram` for the nth address of an interface; from the last on it is removed. */
export function standInArguments({ name, mac, mtu, addresses }: LinkState, nth: number): readonly string[] {
  const found = addresses[nth];
  return [name, mac, String(mtu), found ? `${found.local}/${found.prefixlen}` : ''];
}

/** A VM's taps in the host's namespace. */
export interface TapScript {
  /** Those to make, in order. */
  readonly names: readonly string[];
  readonly uid: number;
  /** Queues of the VM's interfaces: QEMU opens a tap once for each. */
  readonly queues: number;
  /** Names that are taken, by what an earlier start has left. */
  readonly leftovers: readonly string[];
}

/** The batch that makes taps: persistent, owned by `uid`, with virtio headers (checksum and segmentation offload), down and silent. */
export function tapScript({ names, uid, queues, leftovers }: TapScript): string {
  const flags = ['vnet_hdr', ...(queues > 1 ? ['multi_queue'] : [])].join(' ');
  return script([
    ...leftovers.map((name) => `link del dev ${name}`),
    ...names.map((name) => `tuntap add dev ${name} mode tap user ${uid} ${flags}`),
  ]);
}

/**
 * The batch that bridges the CNI's interface with the tap. The interface keeps no address, and another MAC, since its own now belong to
 * the guest; a veth changes its MAC while up, so that no bridge of the host sees the port go down. A macvlan is found by its MAC on the
 * device below it, and keeps it (`forwardingScript`). With two ports there is nothing to learn: what is not for the bridge itself goes to the
 * other one, and no guest or neighbour fills its table with addresses.
 */
export function joinScript({ index, link, tap }: Nic, macs: { readonly bridge: string; readonly port: string }): string {
  const { name, mtu, kind } = link;
  const bridge = bridgeName(index);
  return script([
    `link add name ${bridge} address ${macs.bridge} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `addr add ${bridgeAddress(index)}/32 dev ${bridge}`,
    `addr flush dev ${name}`,
    ...(kind === 'veth' || isFoundByMac(link) ? [] : [`link set dev ${name} down`]),
    ...(isFoundByMac(link) ? [] : [`link set dev ${name} address ${macs.port}`]),
    ...plug(name, bridge),
    `link set dev ${bridge} up`,
    ...plugTap(index, tap, mtu),
  ]);
}

/** The batch that puts the tap of the sandbox's next VM on the bridge that is there. */
export function rejoinScript({ index, link, tap }: Nic): string {
  return script(plugTap(index, tap, link.mtu));
}

/**
 * The batch of `bridge` that sends what comes for the MACs of macvlans to the guests which have them now: a bridge takes the MAC of its
 * port for its own. Empty where there is none.
 */
export function forwardingScript(nics: readonly Nic[]): string {
  const lines = nics.filter(({ link }) => isFoundByMac(link)).map(({ link, tap }) => `fdb replace ${link.mac} dev ${tap} master static`);
  return lines.length === 0 ? '' : script(lines);
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

function plugTap(index: number, tap: string, mtu: number): readonly string[] {
  return [`link set dev ${tap} mtu ${mtu}`, ...plug(tap, bridgeName(index))];
}

function plug(port: string, bridge: string): readonly string[] {
  return [`link set dev ${port} master ${bridge}`, `link set dev ${port} type bridge_slave learning off`, `link set dev ${port} up`];
}

function isFoundByMac({ kind }: LinkState): boolean {
  return kind === 'macvlan';
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
