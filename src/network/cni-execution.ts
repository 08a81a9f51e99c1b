import { parseBytes } from '../lib/quantity.ts';
import { programPath } from '../lib/run-program.ts';
import { invalid } from '../model/errors.ts';
import type { PortMapping, SandboxMetadata, StringMap } from '../model/sandbox.ts';
import type { DnsConfig } from '../model/network.ts';
import type { JsonObject, NetworkConfig, PluginConfig } from './cni-config.ts';

/** The name of a pod's interface inside its network namespace, as every runtime has it. */
export const podInterface = 'eth0';

/** Everything about a sandbox that plugins are told, the same for ADD and DEL. */
export interface CniSubject {
  readonly sandboxId: string;
  readonly metadata: SandboxMetadata;
  /** Capability arguments by capability, for the plugins that declare them. */
  readonly capabilities: JsonObject;
}

/** The environment of a plugin (CNI specification, section 2). `netnsPath` is empty for a DEL whose namespace is gone. */
export function pluginEnvironment(
  command: 'ADD' | 'DEL',
  subject: CniSubject,
  netnsPath: string,
  binDirs: readonly string[],
): Readonly<Record<string, string>> {
  const { sandboxId, metadata } = subject;
  const args = [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', metadata.namespace],
    ['K8S_POD_NAME', metadata.name],
    ['K8S_POD_INFRA_CONTAINER_ID', sandboxId],
    ['K8S_POD_UID', metadata.uid],
  ];
  return {
    PATH: programPath,
    LC_ALL: 'C',
    CNI_COMMAND: command,
    CNI_CONTAINERID: sandboxId,
    CNI_NETNS: netnsPath,
    CNI_IFNAME: podInterface,
    CNI_ARGS: args.map((pair) => pair.join('=')).join(';'),
    CNI_PATH: binDirs.join(':'),
  };
}

/**
 * What a plugin reads on stdin (CNI specification, section 3): its configuration with name and version of the list, `runtimeConfig`
 * of the capabilities that it declares instead of the declaration, and the result before it.
 */
export function pluginInput(network: NetworkConfig, plugin: PluginConfig, capabilities: JsonObject, prevResult?: JsonObject): string {
  const { capabilities: declared = {}, ...own } = plugin;
  const runtimeConfig = Object.fromEntries(Object.entries(capabilities).filter(([capability]) => declared[capability] === true));
  return JSON.stringify({
    ...own,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  });
}

/** What a pod asks of its network. */
interface PodWishes {
  readonly dns: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: StringMap;
}

/**
 * The capability arguments of a pod (CNI conventions, "Dynamic plugin specific fields"): `portMappings`, `dns`, `bandwidth`, and the
 * pod's annotations under the name that containerd gave them. Errors: INVALID for a bandwidth that is no quantity.
 */
export function capabilityArguments(pod: PodWishes): JsonObject {
  const portMappings = pod.portMappings
    .filter(({ hostPort }) => hostPort > 0)
    .map(({ hostPort, containerPort, protocol, hostIp }) => ({
      hostPort,
      containerPort,
      protocol: protocol.toLowerCase(),
      hostIP: hostIp,
    }));
  const { servers, searches, options } = pod.dns;
  const hasDns = servers.length + searches.length + options.length > 0;
  const bandwidth = { ...rate(pod.annotations, 'ingress'), ...rate(pod.annotations, 'egress') };
  return {
    ...(portMappings.length > 0 ? { portMappings } : {}),
    ...(hasDns ? { dns: { servers, searches, options } } : {}),
    ...(Object.keys(bandwidth).length > 0 ? { bandwidth } : {}),
    ...(Object.keys(pod.annotations).length > 0 ? { 'io.kubernetes.cri.pod-annotations': pod.annotations } : {}),
  };
}

/** Bits per second; the burst is the largest that the plugin takes, so that only the rate binds. */
function rate(annotations: StringMap, direction: 'ingress' | 'egress'): JsonObject {
  const field = `kubernetes.io/${direction}-bandwidth`;
  const text = annotations[field];
  if (text === undefined) return {};
  const bits = parseBytes(text);
  if (bits === undefined || bits < 1000) throw invalid(field, `"${text}" is no rate; write bits per second such as 10M, at least 1k`);
  return { [`${direction}Rate`]: bits, [`${direction}Burst`]: 2 ** 31 - 1 };
}

/** The capabilities among `wanted` that no plugin of the network declares: what the pod asked for and nobody will do. */
export function unservedCapabilities(network: NetworkConfig, wanted: JsonObject): readonly string[] {
  return ['portMappings', 'bandwidth'].filter(
    (capability) => capability in wanted && !network.plugins.some((plugin) => plugin.capabilities?.[capability] === true),
  );
}
