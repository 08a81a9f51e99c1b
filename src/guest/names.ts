import { isIP } from 'node:net';
import { maxDomainLength } from '../model/network.ts';

const hostLabel = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const hostname = new RegExp(`^${hostLabel}(\\.${hostLabel})*$`);

/** True for a DNS-1123 subdomain, as Kubernetes makes host names. */
export function isHostname(text: string): boolean {
  return text.length <= maxDomainLength && hostname.test(text);
}

/** True for an IPv4 or IPv6 address without a zone. */
export function isAddress(text: string): boolean {
  return !text.includes('%') && isIP(text) !== 0;
}
