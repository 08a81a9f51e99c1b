import { isIP } from 'node:net';

const hostLabel = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const searchLabel = '[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?';
const hostname = new RegExp(`^${hostLabel}(\\.${hostLabel})*$`);
const searchDomain = new RegExp(`^${searchLabel}(\\.${searchLabel})*\\.?$`, 'i');

/** Longest domain name in text (RFC 1035 section 2.3.4, without the length bytes). */
const maxNameLength = 253;

/** True for a DNS-1123 subdomain, as Kubernetes makes host names. */
export function isHostname(text: string): boolean {
  return text.length <= maxNameLength && hostname.test(text);
}

/** True for what Kubernetes accepts as a search domain: labels may have underscores, a dot at the end, or be the root alone. */
export function isSearchDomain(text: string): boolean {
  return text === '.' || (text.length <= maxNameLength + 1 && searchDomain.test(text));
}

/** True for an IPv4 or IPv6 address without a zone. */
export function isAddress(text: string): boolean {
  return !text.includes('%') && isIP(text) !== 0;
}
