import type { LinuxPodSandboxConfig, PodSandboxConfig } from '../gen/runtime/v1/api_pb.js';
import { invalid } from '../model/errors.ts';
import type { SandboxConfig, SandboxMetadata } from '../model/sandbox.ts';
import { requireHandler } from './handlers.ts';
import { requireAbsolutePath, requireHostname, requireName } from './names.ts';
import { namespacesFromProto } from './namespaces.ts';
import { portMappingsFromProto } from './port-mappings.ts';
import { overheadFields, resourcesFromProto, sandboxResourcesFields } from './resources.ts';
import { checkSecurity, sandboxSecurityFields } from './security.ts';
import { below, type FieldSupport } from './support.ts';

/** `PodSandboxConfig`. */
export const sandboxConfigFields: FieldSupport = {
  metadata: 'honoured',
  hostname: 'honoured',
  log_directory: 'honoured',
  dns_config: 'honoured',
  port_mappings: 'honoured',
  labels: 'honoured',
  annotations: 'honoured',
  'linux.cgroup_parent': 'honoured',
  'linux.sysctls': { refused: 'all: a guest has its own kernel, set them in its image' },
  ...below('linux', { ...overheadFields, ...sandboxResourcesFields, ...below('security_context', sandboxSecurityFields) }),
};

/** What RunPodSandbox asks for, checked. Throws INVALID naming the field, UNIMPLEMENTED for a shared pid namespace of a target. */
export function sandboxConfigFromProto(proto: PodSandboxConfig | undefined, runtimeHandler: string): SandboxConfig {
  if (!proto) throw invalid('config', 'is missing');
  const { dnsConfig: dns } = proto;
  // Before the host name: a pod with hostNetwork has none, and is to hear of hostNetwork.
  const linux = linuxFromProto('config.linux', proto.linux);
  return {
    metadata: metadataFromProto(proto),
    hostname: requireHostname('config.hostname', proto.hostname),
    logDirectory: requireAbsolutePath('config.log_directory', proto.logDirectory),
    dns: { servers: dns?.servers ?? [], searches: dns?.searches ?? [], options: dns?.options ?? [] },
    portMappings: portMappingsFromProto('config.port_mappings', proto.portMappings),
    labels: proto.labels,
    annotations: proto.annotations,
    ...linux,
    runtimeHandler: requireHandler('runtime_handler', runtimeHandler),
  };
}

function linuxFromProto(
  field: string,
  proto: LinuxPodSandboxConfig | undefined,
): Pick<SandboxConfig, 'cgroupParent' | 'namespaceOptions' | 'resources' | 'overhead'> {
  const security = proto?.securityContext;
  const namespaceOptions = namespacesFromProto(`${field}.security_context.namespace_options`, security?.namespaceOptions);
  if (security) checkSecurity(`${field}.security_context`, security);
  checkSysctls(`${field}.sysctls`, proto?.sysctls ?? {});
  return {
    cgroupParent: requireAbsolutePath(`${field}.cgroup_parent`, proto?.cgroupParent ?? ''),
    namespaceOptions,
    ...(proto?.resources ? { resources: resourcesFromProto(`${field}.resources`, proto.resources) } : {}),
    ...(proto?.overhead ? { overhead: resourcesFromProto(`${field}.overhead`, proto.overhead) } : {}),
  };
}

function metadataFromProto({ metadata }: PodSandboxConfig): SandboxMetadata {
  return {
    name: requireName('config.metadata.name', metadata?.name),
    namespace: requireName('config.metadata.namespace', metadata?.namespace),
    uid: requireName('config.metadata.uid', metadata?.uid),
    attempt: metadata?.attempt ?? 0,
  };
}

function checkSysctls(field: string, sysctls: Readonly<Record<string, string>>): void {
  const names = Object.keys(sysctls);
  if (names.length > 0)
    throw invalid(field, `${names.join(', ')} would not reach the guest's kernel; accepted: none, set them in its image`);
}
