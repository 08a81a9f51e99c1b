/** DNS as a pod asks for it (CRI `DNSConfig`). */
export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

const searchLabel = '[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?';
const searchDomain = new RegExp(`^${searchLabel}(\\.${searchLabel})*$`, 'i');

/** Longest domain name in text (RFC 1035 section 2.3.4, without the length bytes). */
export const maxDomainLength = 253;

/**
 * True for what Kubernetes accepts as a search domain, and DHCP can tell: labels may have underscores, with a dot at the end, or the root
 * alone. Kubernetes does not count a label's 63 characters (RFC 1035), but dnsmasq starts with no longer one.
 */
export function isSearchDomain(text: string): boolean {
  const name = text.replace(/\.$/, '');
  return text === '.' || (name.length <= maxDomainLength && searchDomain.test(name));
}

/** One address of an interface, as in a CNI result. */
export interface InterfaceAddress {
  /** Address with prefix length, `10.244.1.7/24`. */
  readonly cidr: string;
  readonly gateway?: string;
}

/** One route of an interface, as in a CNI result; without `gateway` the destination is on the link (or behind the address's gateway for CNI). */
export interface InterfaceRoute {
  readonly destination: string;
  readonly gateway?: string;
  /** The lower is preferred; absent where nobody chose one. */
  readonly metric?: number;
}

/** Bytes that a route to `destination` takes of DHCP's option 121 (RFC 3442): width, the significant bytes of the destination, the router. */
export function dhcpRouteBytes(destination: string): number {
  return 1 + Math.ceil(Number(destination.split('/')[1]) / 8) + 4;
}

/** An option's longest value (RFC 2132), bytes. */
export const maxDhcpOptionBytes = 255;

/**
 * A part of a network card that is a PCI device of its own (PCI-SIG, "Single Root I/O Virtualization"): the guest gets the device itself,
 * and no tap, bridge or DHCP server of ours.
 */
export interface VirtualFunction {
  /** Where it is on the node's PCI bus, `0000:3b:02.1`. */
  readonly pciAddress: string;
  /** The VLAN that the card puts its frames into, 1 to 4094; the guest sees nothing of it. */
  readonly vlan?: number;
}

/**
 * One network interface as the guest is to have it: the MAC and addresses that CNI gave the pod. Pure facts, shared by the room that
 * makes the link, the one that writes the VM's XML and the one that tells the guest.
 */
export interface GuestInterface {
  /** The CNI's interface name in the pod's network namespace, `eth0`. */
  readonly name: string;
  readonly mac: string;
  /** Of the device, bytes. */
  readonly mtu: number;
  /** What the guest is told in its place: its routes allow no more, bytes. */
  readonly pathMtu?: number;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly InterfaceRoute[];
  /** Set for an interface that is handed over as a device; all others are joined by a tap. */
  readonly virtualFunction?: VirtualFunction;
}

/** A pod's place in its network: what PodSandboxStatus reports and what a VM in the pod needs. */
export interface NetworkAttachment {
  readonly sandboxId: string;
  /** `/run/netns/<name>`. */
  readonly netnsPath: string;
  /** Addresses without prefix length, primary first. */
  readonly ips: readonly string[];
  readonly interfaces: readonly GuestInterface[];
  readonly dns: DnsConfig;
}
