import { parseQuantity } from '../../lib/quantity.ts';
import { invalid } from '../../model/errors.ts';
import type { DnsConfig } from '../../model/network.ts';
import type { PortMapping, StringMap } from '../../model/sandbox.ts';
import { familyOf, parseCidr } from '../address.ts';
import type { JsonObject, NetworkConfig } from './config.ts';

/** What a pod asks of its network. */
interface PodWishes {
  readonly dns: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: StringMap;
}

/** Pod annotations of ours that become a capability's arguments, with their reader. */
const ownCapabilities = {
  mac: { annotation: 'vmlet.dev/mac', read: readMac },
  ips: { annotation: 'vmlet.dev/ips', read: readIps },
  aliases: { annotation: 'vmlet.dev/aliases', read: readAliases },
} as const;

/** The annotations of ours that this room reads. */
export const networkAnnotations: readonly string[] = Object.values(ownCapabilities).map(({ annotation }) => annotation);

/**
 * The capability arguments of a pod (CNI conventions, "Dynamic plugin specific fields"): `portMappings`, `dns`, `bandwidth`; `mac`, `ips`
 * and `aliases` by annotations of ours, since the CRI has no field for them; and the pod's annotations under the name that containerd
 * gave them. Errors: INVALID for a value that is none, with the annotation's name.
 */
export function capabilityArguments(pod: PodWishes): JsonObject {
  const portMappings = pod.portMappings
    .filter(({ hostPort }) => hostPort > 0)
    // portmap makes its rules in this order and the first that matches counts: one for every address would hide one for a single address.
    .toSorted((a, b) => Number(isOnEveryAddress(a)) - Number(isOnEveryAddress(b)))
    .map(({ hostPort, containerPort, protocol, hostIp }) => ({
      hostPort,
      containerPort,
      protocol: protocol.toLowerCase(),
      hostIP: hostIp,
    }));
  const { servers, searches, options } = pod.dns;
  const hasDns = servers.length + searches.length + options.length > 0;
  const bandwidth = { ...rate(pod.annotations, 'ingress'), ...rate(pod.annotations, 'egress') };
  const own = Object.entries(ownCapabilities).flatMap(([capability, { annotation, read }]) => {
    const text = pod.annotations[annotation];
    return text === undefined ? [] : [[capability, read(`annotation ${annotation}`, text)] as const];
  });
  return {
    ...(portMappings.length > 0 ? { portMappings } : {}),
    ...(hasDns ? { dns: { servers, searches, options } } : {}),
    ...(Object.keys(bandwidth).length > 0 ? { bandwidth } : {}),
    ...Object.fromEntries(own),
    ...(Object.keys(pod.annotations).length > 0 ? { 'io.kubernetes.cri.pod-annotations': pod.annotations } : {}),
  };
}

function isOnEveryAddress({ hostIp }: PortMapping): boolean {
  return ['', '0.0.0.0', '::'].includes(hostIp);
}

/**
 * Capabilities among `wanted` that no plugin of the network declares, though the pod asked for them in Kubernetes' own words. It is told,
 * not refused, as containerd and CRI-O do without a word: networks such as Cilium read hostPort and bandwidth from the API server and do
 * their work without declaring anything.
 */
export function unservedCapabilities(network: NetworkConfig, wanted: JsonObject): readonly string[] {
  return ['portMappings', 'bandwidth'].filter((capability) => capability in wanted && !declares(network, capability));
}

/** Refuses an annotation of ours that no plugin of the network can act on: nobody else reads it. Errors: INVALID. */
export function checkOwnCapabilities(network: NetworkConfig, wanted: JsonObject): void {
  for (const [capability, { annotation }] of Object.entries(ownCapabilities)) {
    if (!(capability in wanted) || declares(network, capability)) continue;
    const fix = `add a plugin with "capabilities": {"${capability}": true}, or leave the annotation out`;
    throw invalid(`annotation ${annotation}`, `no plugin of the CNI network "${network.name}" has the capability; ${fix}`);
  }
}

function declares(network: NetworkConfig, capability: string): boolean {
  return network.plugins.some(({ capabilities }) => capabilities?.[capability] === true);
}

/** What kubelet and containerd accept, bits per second: below or above, it is a slip of the pen. */
const [leastRate, greatestRate] = [10n ** 3n, 10n ** 15n];
/** Bits. */
const [leastBurst, greatestBurst] = [32 * 2 ** 10 * 8, 2 ** 31 - 1];

/**
 * Bits per second; the burst, in bits, is what the rate lets through in 100 ms, but at least 32 KiB, or TCP would stumble. Other runtimes
 * give the largest that the plugin takes: the first 256 MiB then pass without any limit.
 */
function rate(annotations: StringMap, direction: 'ingress' | 'egress'): JsonObject {
  const field = `kubernetes.io/${direction}-bandwidth`;
  const text = annotations[field];
  if (text === undefined) return {};
  const bits = parseQuantity(text);
  if (bits === undefined || bits < leastRate || bits > greatestRate)
    throw invalid(`annotation ${field}`, `"${text}" is no rate; write bits per second such as 10M, from 1k to 1P`);
  const burst = Math.min(Math.max(Math.ceil(Number(bits) / 10), leastBurst), greatestBurst);
  return { [`${direction}Rate`]: Number(bits), [`${direction}Burst`]: burst };
}

function readMac(field: string, text: string): string {
  const mac = text.toLowerCase();
  const isMac = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) && mac !== '00:00:00:00:00:00';
  if (!isMac || Number.parseInt(mac, 16) % 2 === 1)
    throw invalid(field, `"${text}" is no address of one interface; write one such as 52:54:00:12:34:56`);
  return mac;
}

function readIps(field: string, text: string): readonly string[] {
  return listOf(
    field,
    text,
    (ip) => familyOf(ip) !== undefined || parseCidr(ip) !== undefined,
    'IP address, with or without prefix length',
  );
}

function readAliases(field: string, text: string): readonly string[] {
  return listOf(field, text, (alias) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(alias), 'name of letters, digits and "-"');
}

/** More than any pod has; a plugin's input stays small. */
const maxEntries = 32;

function listOf(field: string, text: string, isEntry: (entry: string) => boolean, what: string): readonly string[] {
  const entries = text.split(',').map((entry) => entry.trim());
  const wrong = entries.find((entry) => !isEntry(entry));
  if (wrong !== undefined) throw invalid(field, `"${wrong}" is no ${what}; separate several with commas`);
  if (entries.length > maxEntries) throw invalid(field, `has ${entries.length} entries; at most ${maxEntries} are accepted`);
  return [...new Set(entries)];
}
