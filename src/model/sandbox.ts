import type { DnsConfig } from './network.ts';

/** Who a pod is (CRI `PodSandboxMetadata`); unique together. */
export interface SandboxMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** CRI's attempt counter, from 0. */
  readonly attempt: number;
}

/** Labels or annotations, returned byte for byte as they came. */
export type StringMap = Readonly<Record<string, string>>;

/** A port that the pod publishes (CRI `PortMapping`); `hostPort` 0 means not published. */
export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

/** Limits as the kubelet writes them (CRI `LinuxContainerResources`); 0 = not set, bytes and microseconds. Echoed unchanged. */
export interface LinuxResources {
  readonly cpuPeriodUs: number;
  readonly cpuQuotaUs: number;
  readonly cpuShares: number;
  readonly memoryLimitBytes: number;
  readonly memorySwapLimitBytes: number;
  readonly oomScoreAdj: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly unified: StringMap;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limitBytes: number }[];
}

/** Namespace choices of a pod (CRI `NamespaceOption`), by CRI's names; echoed in its status. */
export interface NamespaceOptions {
  readonly network: 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';
  readonly pid: 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';
  readonly ipc: 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';
}

/** What a kubelet asks for with RunPodSandbox, checked. */
export interface SandboxConfig {
  readonly metadata: SandboxMetadata;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly dns: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly labels: StringMap;
  readonly annotations: StringMap;
  /** cgroupfs-style path, empty for none. */
  readonly cgroupParent: string;
  readonly namespaceOptions: NamespaceOptions;
  readonly resources?: LinuxResources;
  readonly overhead?: LinuxResources;
  readonly runtimeHandler: string;
}

/**
 * `CREATING` is an intent: on disk before its effects, undone at boot, never listed. Removal needs no state of its own: a sandbox is
 * NOTREADY first, and its record goes last, so that what was cut short is still listed and asked for again.
 */
export type SandboxState = 'CREATING' | 'READY' | 'NOTREADY';

/** A pod sandbox: the pod's network namespace, its attachment and its cgroup parent. */
export interface Sandbox {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly config: SandboxConfig;
  readonly state: SandboxState;
  /** Unix time in nanoseconds; strictly rising from one sandbox to the next. */
  readonly createdAtNs: bigint;
  /** Addresses without prefix length, primary first; empty before the network is up. Kept when NOTREADY. */
  readonly ips: readonly string[];
}

/** The key under which sandboxes are unique and a repeated RunPodSandbox finds the running one. */
export function sandboxKey(metadata: SandboxMetadata): string {
  return JSON.stringify([metadata.namespace, metadata.name, metadata.uid, metadata.attempt]);
}
