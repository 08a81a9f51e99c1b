import ipaddr from 'ipaddr.js';

/** Anything that the whole Internet may be asked at. */
export const publicRange = 'public';

const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((text) => ({ text, cidr: ipaddr.IPv4.parseCIDR(text) }));

const cloudMetadata = 'cloudMetadata';

/** Where a node's own services and its cloud's metadata live: only for what the configuration names. */
const nodeLocal: ReadonlySet<string> = new Set(['loopback', 'linkLocal', 'ipv6-linkLocal', cloudMetadata]);

/** Metadata services that are not link-local: AWS and Google over IPv6, Alibaba, Oracle, Azure's WireServer (from the clouds' own documents). */
const metadataAddresses: ReadonlySet<string> = new Set([
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
]);

/**
 * The range that an address lies in: `public`, or the name of a special one (IANA's special-purpose registries, through ipaddr.js).
 * Forms that carry an IPv4 address and lead to it are judged by that: v4-mapped and v4-compatible, NAT64 (64:ff9b::/96, RFC 6052),
 * SIIT (RFC 6145), 6to4. `unspecified` is `loopback`, where Linux connects to for it; `cloudMetadata` are the services of clouds that tell a
 * node its secrets and are not link-local. What is no address is `unknown`.
 */
export function rangeOf(address: string): string {
  if (!ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.parse(address);
  if (parsed instanceof ipaddr.IPv4) return rangeOfV4(parsed);
  const embedded = embeddedV4(parsed);
  if (embedded) return rangeOfV4(embedded);
  if (metadataAddresses.has(parsed.toString())) return cloudMetadata;
  const range = parsed.range();
  const local = range === 'rfc6052' ? rangeOfV4(lastV4(parsed)) : ''; // NAT64 with a prefix of one's own (RFC 8215)
  if (nodeLocal.has(local)) return local;
  if (range === 'unicast') return publicRange;
  return range === 'unspecified' ? 'loopback' : `ipv6-${range}`.replace('ipv6-loopback', 'loopback');
}

/** What an address is judged by. */
export interface AddressContext {
  /** The operator's configuration names this very address (or `localhost`), not only a name that leads to it. */
  readonly isNamed: boolean;
  /** The range of the host that sent us here, by a redirect or as its token server; `undefined` for the host that was asked for. */
  readonly referredFrom: string | undefined;
  /** `images.allowedNetworks`: may be connected to in any case. */
  readonly allowed: readonly Network[];
}

/** A network in CIDR form, as `ipaddr.parseCIDR` reads it. */
export type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/**
 * Whether an address may be connected to. Public ones always. A host that was asked for may be in a private network, but not on the node itself
 * nor link-local, unless the configuration names the address. Where another server sends us, only networks that this server itself is in.
 */
export function mayConnect(address: string, { isNamed, referredFrom, allowed }: AddressContext): boolean {
  const range = rangeOf(address);
  if (range === 'unknown') return false;
  if (range === publicRange || isAllowed(address, allowed)) return true;
  if (referredFrom !== undefined) return range === referredFrom;
  return isNamed || !nodeLocal.has(range);
}

/** Reads a network in CIDR form or a single address; `undefined` for anything else. */
export function parseNetwork(text: string): Network | undefined {
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

function isAllowed(address: string, allowed: readonly Network[]): boolean {
  const parsed = ipaddr.process(address);
  return allowed.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
}

function rangeOfV4(address: ipaddr.IPv4): string {
  if (metadataAddresses.has(address.toString())) return cloudMetadata;
  const range = address.range();
  if (range === 'unicast') return publicRange;
  if (range === 'unspecified') return 'loopback';
  if (range === 'private') return privateRanges.find(({ cidr }) => address.match(cidr))?.text ?? range;
  return range;
}

function lastV4(address: ipaddr.IPv6): ipaddr.IPv4 {
  return new ipaddr.IPv4(address.toByteArray().slice(12));
}

function embeddedV4(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const bytes = address.toByteArray();
  const range = address.range();
  const isNat64 = range === 'rfc6052' && bytes.slice(4, 12).every((byte) => byte === 0); // the /96 alone; RFC 8215's /48 is for local use
  if (range === 'ipv4Mapped' || range === 'rfc6145' || isNat64) return lastV4(address);
  if (range === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6));
  const isCompatible = bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte !== 0);
  return isCompatible ? lastV4(address) : undefined;
}
