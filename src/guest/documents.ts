import { stringify } from 'yaml';
import { invalid } from '../model/errors.ts';
import { isSearchDomain, type DnsConfig } from '../model/network.ts';
import { isAddress, isHostname } from './names.ts';
import { networkConfig, type GuestNetwork } from './network-config.ts';

/** What the documents are made from. */
export interface SeedFacts extends GuestNetwork {
  readonly instanceId: string;
  readonly hostname: string;
}

/** File names of a NoCloud seed with their contents. Source: cloud-init's documentation, "NoCloud". */
export type SeedDocuments = Readonly<Record<'meta-data' | 'user-data' | 'network-config', string>>;

/**
 * The documents of a NoCloud seed. Names come from the pod and go into files that a guest's shell scripts may read: anything that is
 * no host name, no domain or no address throws INVALID.
 */
export function seedDocuments(facts: SeedFacts): SeedDocuments {
  if (!isHostname(facts.hostname)) {
    throw invalid('hostname', `${quoted(facts.hostname)} must be lower-case letters, digits, - and . (RFC 1123), at most 253 characters`);
  }
  checkDns(facts.dns);
  return {
    'meta-data': yaml({ 'instance-id': facts.instanceId, 'local-hostname': facts.hostname }),
    'user-data': '#cloud-config\n{}\n',
    'network-config': yaml(networkConfig(facts)),
  };
}

function checkDns(dns: DnsConfig): void {
  dns.servers.forEach((server, index) => {
    if (!isAddress(server)) throw invalid(`dns_config.servers[${index}]`, `${quoted(server)} must be an IP address`);
  });
  dns.searches.forEach((search, index) => {
    if (!isSearchDomain(search)) throw invalid(`dns_config.searches[${index}]`, `${quoted(search)} must be a domain name`);
  });
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 300));
}

/** All strings quoted: cloud-init reads YAML 1.1, where a plain `yes` is a boolean and some MACs are numbers. */
function yaml(document: object): string {
  return stringify(document, { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', aliasDuplicateObjects: false });
}
