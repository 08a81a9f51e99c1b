import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Protocol, type PortMapping as ProtoPortMapping } from '../gen/runtime/v1/api_pb.js';
import { invalid } from '../model/errors.ts';
import type { PortMapping } from '../model/sandbox.ts';
import { requirePort } from './numbers.ts';

/**
 * The ports that a pod publishes, each once. Throws INVALID naming the field for what other runtimes hand on unread, and the portmap plugin
 * then leaves out without a word: an address that is none, or a second use of a port at the same address, or at every one. A port may lead
 * elsewhere at one address than at all others, as the API server lets it (`AccumulateUniqueHostPorts`).
 */
export function portMappingsFromProto(field: string, protos: readonly ProtoPortMapping[]): readonly PortMapping[] {
  const published = new Map<string, PortMapping>();
  return protos.flatMap((proto, index) => {
    const mapping = portMappingFromProto(`${field}[${index}]`, proto);
    const { protocol, hostPort, hostIp, containerPort } = mapping;
    if (hostPort === 0) return [mapping];
    const keys = (hostIp === '' ? ['0.0.0.0', '::'] : [hostIp]).map((address) => `${address} ${protocol} ${hostPort}`);
    const before = keys.map((key) => published.get(key));
    for (const key of keys) published.set(key, mapping);
    const other = before.find((each) => each !== undefined && each.containerPort !== containerPort);
    if (other === undefined) return before.includes(undefined) ? [mapping] : []; // a sidecar and a container may say the same
    const port = `${protocol} ${hostPort}${hostIp === '' ? '' : ` of ${hostIp}`}`;
    const problem = `${port} already leads to container port ${other.containerPort}; give each a port of its own`;
    throw invalid(`${field}[${index}].host_port`, problem);
  });
}

function portMappingFromProto(field: string, proto: ProtoPortMapping): PortMapping {
  const protocol = protocols.find((name) => Protocol[name] === proto.protocol);
  if (!protocol) throw invalid(`${field}.protocol`, `${proto.protocol} is unknown; accepted: ${protocols.join(', ')}`);
  return {
    protocol,
    containerPort: requirePort(`${field}.container_port`, proto.containerPort, false),
    hostPort: requirePort(`${field}.host_port`, proto.hostPort, true),
    hostIp: requireHostIp(`${field}.host_ip`, proto.hostIp),
  };
}

const protocols = ['TCP', 'UDP', 'SCTP'] as const;

/** An IP address in canonical form (RFC 5952), or empty for all of the node's. */
function requireHostIp(field: string, text: string): string {
  if (text === '') return text;
  if (isIP(text) === 0 || text.includes('%'))
    throw invalid(field, `${JSON.stringify(text)} is no IP address; write one of the node's, or leave it out for all of them`);
  const address = ipaddr.parse(text);
  // The packet filter of neither family takes it.
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress())
    throw invalid(field, `${JSON.stringify(text)} is an IPv4 address; write ${address.toIPv4Address().toString()}`);
  return address.toString();
}
