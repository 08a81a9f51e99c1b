import { programPath } from '../../lib/run-program.ts';
import type { SandboxMetadata } from '../../model/sandbox.ts';
import type { JsonObject, NetworkConfig, PluginConfig } from './config.ts';

/** The name of a pod's interface inside its network namespace, as every runtime has it. */
export const podInterface = 'eth0';

/** Everything about a sandbox that plugins are told, the same for ADD and DEL. */
export interface CniSubject {
  readonly sandboxId: string;
  readonly metadata: SandboxMetadata;
  /** Capability arguments by capability, for the plugins that declare them. */
  readonly capabilities: JsonObject;
}

/** What belongs to one attachment of a network; a container may be on it once under each interface name. */
export interface CniAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/** The arguments that every plugin gets, in the order that other runtimes have. */
export function cniArguments({ sandboxId, metadata }: CniSubject): readonly (readonly [string, string])[] {
  return [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', metadata.namespace],
    ['K8S_POD_NAME', metadata.name],
    ['K8S_POD_INFRA_CONTAINER_ID', sandboxId],
    ['K8S_POD_UID', metadata.uid],
  ];
}

/** The environment of a plugin (CNI specification, section 2). `netnsPath` is empty for a DEL whose namespace is gone. */
export function pluginEnvironment(
  command: 'ADD' | 'DEL',
  subject: CniSubject,
  netnsPath: string,
  binDirs: readonly string[],
): Readonly<Record<string, string>> {
  return {
    ...networkEnvironment(command, binDirs),
    CNI_CONTAINERID: subject.sandboxId,
    CNI_NETNS: netnsPath,
    CNI_IFNAME: podInterface,
    CNI_ARGS: cniArguments(subject)
      .map((pair) => pair.join('='))
      .join(';'),
  };
}

/** The environment of a plugin that is asked about a network, not about an attachment. */
export function networkEnvironment(command: string, binDirs: readonly string[]): Readonly<Record<string, string>> {
  return { PATH: programPath, LC_ALL: 'C', CNI_COMMAND: command, CNI_PATH: binDirs.join(':') };
}

/**
 * What is in the environment of plugins that collect garbage for the daemon with this directory: they are told of no container, by which
 * one that outlives its daemon would be found.
 */
export function collectionMark(stateDir: string): Readonly<Record<string, string>> {
  return { VMLET_GC: stateDir };
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

/** What a plugin reads on stdin for STATUS; for GC also the attachments that stay, under the specification's name and libcni's older one. */
export function networkInput(network: NetworkConfig, plugin: PluginConfig, valid?: readonly CniAttachment[]): string {
  const { capabilities: _declared, ...own } = plugin;
  return JSON.stringify({
    ...own,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(valid === undefined ? {} : { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid }),
  });
}
