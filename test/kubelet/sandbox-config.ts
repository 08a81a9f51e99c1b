import type { MessageInitShape } from '@bufbuild/protobuf';
import { NamespaceMode, Protocol, type PodSandboxConfigSchema } from '../../src/gen/runtime/v1/api_pb.js';
import type { Pod } from './pod.ts';
import { overheadResources, qosClass, sandboxResources } from './resources.ts';
import { podLogDir, type KubeletSettings } from './settings.ts';

/** CRI `PodSandboxConfig` as plain data. */
export type SandboxConfigInit = Exclude<MessageInitShape<typeof PodSandboxConfigSchema>, { $typeName: string }>;

/** What a kubelet 1.36 sends with RunPodSandbox for this pod (field shapes taken from recorded calls). */
export function sandboxConfig(settings: KubeletSettings, pod: Pod, attempt = 0): SandboxConfigInit {
  return {
    metadata: { name: pod.name, uid: pod.uid, namespace: pod.namespace, attempt },
    ...(pod.hostNetwork ? {} : { hostname: pod.hostname }),
    logDirectory: podLogDir(settings, pod),
    dnsConfig: dnsConfig(settings, pod),
    portMappings: pod.containers.flatMap(({ ports }) =>
      ports.map(({ containerPort, hostPort, hostIp, protocol }) => ({
        containerPort,
        hostPort: pod.hostNetwork ? containerPort : hostPort,
        hostIp,
        protocol: Protocol[protocol],
      })),
    ),
    labels: { ...pod.labels, ...podLabels(pod) },
    annotations: podAnnotations(pod),
    linux: {
      cgroupParent: podCgroup(settings, pod),
      securityContext: { namespaceOptions: namespaceOptions(pod), seccomp: {} },
      overhead: overheadResources(pod),
      resources: sandboxResources(pod),
    },
  };
}

/** Labels that every message about the pod carries; the kubelet finds its pods by them. */
export function podLabels(pod: Pod): Record<string, string> {
  return { 'io.kubernetes.pod.name': pod.name, 'io.kubernetes.pod.namespace': pod.namespace, 'io.kubernetes.pod.uid': pod.uid };
}

/** The pod's annotations with what the kubelet adds. */
export function podAnnotations(pod: Pod): Record<string, string> {
  return { ...pod.annotations, 'kubernetes.io/config.seen': pod.seenAt, 'kubernetes.io/config.source': 'api' };
}

/** The pod's cgroup, made by the kubelet before RunPodSandbox; guaranteed pods lie one level higher. */
export function podCgroup(settings: KubeletSettings, pod: Pod): string {
  const qos = qosClass(pod);
  return [settings.cgroupRoot, ...(qos === 'Guaranteed' ? [] : [qos.toLowerCase()]), `pod${pod.uid}`].join('/');
}

/** Namespaces of sandbox and containers: each container has its own pids, users are the node's. */
export function namespaceOptions(pod: Pod): { network: NamespaceMode; pid: NamespaceMode; usernsOptions: { mode: NamespaceMode } } {
  return {
    network: pod.hostNetwork ? NamespaceMode.NODE : NamespaceMode.POD,
    pid: NamespaceMode.CONTAINER,
    usernsOptions: { mode: NamespaceMode.NODE },
  };
}

function dnsConfig(settings: KubeletSettings, pod: Pod): { servers: string[]; searches: string[]; options: string[] } {
  const { clusterDns, clusterDomain, nodeDns } = settings;
  const cluster = pod.dnsPolicy === 'ClusterFirst' && clusterDns.length > 0 && !pod.hostNetwork;
  const clusterSearches = [`${pod.namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  const policy = {
    None: { servers: [], searches: [], options: [] },
    Default: nodeDns,
    ClusterFirst: cluster ? { servers: clusterDns, searches: [...clusterSearches, ...nodeDns.searches], options: ['ndots:5'] } : nodeDns,
  }[pod.dnsPolicy];
  const join = (left: readonly string[], right: readonly string[]): string[] => [...new Set([...left, ...right])];
  return {
    servers: join(policy.servers, pod.dns.servers),
    searches: join(policy.searches, pod.dns.searches),
    options: join(policy.options, pod.dns.options),
  };
}
