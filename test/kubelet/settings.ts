import { join } from 'node:path';
import type { Pod, PodContainer } from './pod.ts';

/** What a node's kubelet is configured with, as far as it shows in its calls. */
export interface KubeletSettings {
  /** `/var/lib/kubelet`: what is mounted into containers lies below. */
  readonly rootDir: string;
  /** `/var/log/pods`. */
  readonly logRoot: string;
  /** cgroupfs-style parent of all pods, `/kubepods`. */
  readonly cgroupRoot: string;
  /** Cluster DNS servers; without any, pods get the node's DNS. */
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** The node's resolv.conf. */
  readonly nodeDns: { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] };
  /** The node's memory, which OOM scores are relative to. */
  readonly memoryCapacityBytes: number;
  /** Cluster address of the API server's Service, of which every container is told by environment variables. */
  readonly apiServer: { readonly address: string; readonly port: number };
}

/** Settings of a plain node, with all its directories below `dir`. */
export function nodeSettings(dir: string, changes: Partial<KubeletSettings> = {}): KubeletSettings {
  return {
    rootDir: join(dir, 'kubelet'),
    logRoot: join(dir, 'pods'),
    cgroupRoot: '/kubepods',
    clusterDns: [],
    clusterDomain: 'cluster.local',
    nodeDns: { servers: ['127.0.0.1'], searches: [], options: [] },
    memoryCapacityBytes: 16 * 2 ** 30,
    apiServer: { address: '10.96.0.1', port: 443 },
    ...changes,
  };
}

/** The pod's log directory, `<logRoot>/NS_NAME_UID`. */
export function podLogDir(settings: KubeletSettings, pod: Pod): string {
  return join(settings.logRoot, `${pod.namespace}_${pod.name}_${pod.uid}`);
}

/** The log's path relative to the pod's log directory. */
export function containerLogPath(container: PodContainer, attempt: number): string {
  return `${container.name}/${attempt}.log`;
}

/** What the kubelet keeps for a pod on the node. */
export function podFiles(settings: KubeletSettings, pod: Pod): { readonly dir: string; readonly etcHosts: string; readonly token: string } {
  const dir = join(settings.rootDir, 'pods', pod.uid);
  const token = join(dir, 'volumes', 'kubernetes.io~projected', `kube-api-access-${pod.uid.slice(0, 5)}`);
  return { dir, etcHosts: join(dir, 'etc-hosts'), token };
}

/** The file that becomes a container's /dev/termination-log; another one for each attempt. */
export function terminationLog(settings: KubeletSettings, pod: Pod, container: PodContainer, attempt: number): string {
  return join(podFiles(settings, pod).dir, 'containers', container.name, attempt.toString(16).padStart(8, '0'));
}
