import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An address with prefix length, taken apart. */
export interface Cidr {
  readonly family: 4 | 6;
  /** Canonical text (RFC 5952 for IPv6). */
  readonly address: string;
  readonly prefixLength: number;
}

/** 4, 6, or `undefined` when the text is no IP address; zones (`fe80::1%eth0`) are not accepted. */
export function familyOf(text: string): 4 | 6 | undefined {
  const family = text.includes('%') ? 0 : isIP(text);
  return family === 4 || family === 6 ? family : undefined;
}

/** Reads `10.1.2.3/24`; `undefined` when it is no address with a prefix length. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length = '', ...rest] = text.split('/');
  const family = familyOf(address);
  if (family === undefined || rest.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > widthOf(family)) return undefined;
  return { family, address: ipaddr.parse(address).toString(), prefixLength };
}

/** The network that an address lies in, `10.1.2.0/24`. */
export function networkOf(cidr: Cidr): string {
  const text = `${cidr.address}/${cidr.prefixLength}`;
  const network = cidr.family === 4 ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
  return `${network.toString()}/${cidr.prefixLength}`;
}

/** True for an address in the network. */
export function contains(network: Cidr, address: string): boolean {
  return familyOf(address) === network.family && networkOf({ ...network, address }) === networkOf(network);
}

/** The netmask of an IPv4 prefix length, `255.255.255.0`. */
export function netmaskOf(prefixLength: number): string {
  return ipaddr.IPv4.subnetMaskFromPrefixLength(prefixLength).toString();
}

/** Bits of an address: 32 or 128. */
export function widthOf(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}
