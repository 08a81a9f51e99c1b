import { invalid } from '../model/errors.ts';
import { isSearchDomain, type DnsConfig } from '../model/network.ts';
import type { PortMapping, SandboxMetadata, StringMap } from '../model/sandbox.ts';
import { familyOf } from './address.ts';

/** What a sandbox asks of its network. */
export interface AttachRequest {
  readonly sandboxId: string;
  readonly metadata: SandboxMetadata;
  readonly hostname: string;
  readonly dns: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: StringMap;
}

/**
 * Refuses what could not be passed on unchanged: CNI_ARGS has no quoting, a DHCP option's values are joined with commas, and its names
 * have the limits of DNS.
 * Errors: INVALID.
 */
export function checkRequest({ metadata, hostname, dns }: AttachRequest): void {
  for (const field of ['namespace', 'name', 'uid'] as const) {
    if (/[;=\s\0]/.test(metadata[field]))
      throw invalid(`metadata.${field}`, `"${metadata[field]}" has a character that CNI_ARGS cannot carry (; = or space)`);
  }
  if (!/^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)?$/.test(hostname)) {
    throw invalid('hostname', `"${hostname}" is no host name; accepted: letters, digits, "-" and "." inside`);
  }
  for (const server of dns.servers) {
    if (familyOf(server) === undefined) throw invalid('dns_config.servers', `"${server}" is no IP address`);
  }
  for (const search of dns.searches) {
    if (!isSearchDomain(search)) throw invalid('dns_config.searches', `"${search}" ${noDomain}`);
  }
}

const noDomain = 'is no domain name: labels of 1 to 63 letters, digits, "-" and "_", with dots between, 253 characters at most';

/** The DNS that a guest gets: the pod's own if it has any, else what the network's result says. Throws for a name in it that DNS does not have. */
export function chooseDns(pod: DnsConfig, network: DnsConfig): DnsConfig {
  if (pod.servers.length + pod.searches.length + pod.options.length > 0) return pod;
  for (const search of network.searches) if (!isSearchDomain(search)) throw new Error(`dns: "${search}" ${noDomain}`);
  return network;
}
