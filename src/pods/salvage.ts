import { domainNameOf, tapNameOf, type Container } from '../model/container.ts';
import type { Sandbox, SandboxMetadata, StringMap } from '../model/sandbox.ts';
import type { VmIdentity } from '../model/vm-identity.ts';
import { criLogPath } from './layout.ts';

/** What a sandbox is known by when its record cannot be read. */
export interface SandboxTraces {
  readonly id: string;
  readonly metadata: SandboxMetadata;
  readonly ips: readonly string[];
  /** Where its VM's cgroup leaf lies; empty when that cannot be told. */
  readonly cgroupParent: string;
  /** When the record was written last: no attempt made later is older. */
  readonly changedAtNs: bigint;
  /** Its containers whose records can be read. */
  readonly containers: readonly Container[];
}

/** A sandbox as far as it is known: NOTREADY, so that a kubelet stops it and removes it. */
export function salvagedSandbox({ id, metadata, ips, cgroupParent, changedAtNs, containers }: SandboxTraces): Sandbox {
  return {
    id,
    state: 'NOTREADY',
    createdAtNs: changedAtNs,
    ips,
    config: {
      metadata,
      hostname: '',
      logDirectory: logDirectoryOf(containers),
      dns: { servers: [], searches: [], options: [] },
      portMappings: [],
      labels: podLabels(metadata),
      annotations: {},
      cgroupParent,
      namespaceOptions: { network: 'POD', pid: 'POD', ipc: 'POD' },
      runtimeHandler: '',
    },
  };
}

/** What a container is known by when its record cannot be read. */
export interface ContainerTraces {
  readonly identity: VmIdentity;
  readonly domainUuid: string;
  readonly changedAtNs: bigint;
  /** Owner of the VM's files. */
  readonly uid: number;
  readonly imageId: string | undefined;
  /** Its sandbox, if that is known. */
  readonly sandbox: Sandbox | undefined;
  /** What its log is if it has none. */
  readonly noLogPath: string;
}

/** A container as far as it is known: UNKNOWN, so that a kubelet stops it before it makes the next attempt. */
export function salvagedContainer(traces: ContainerTraces): Container {
  const { identity, domainUuid, changedAtNs, uid, sandbox } = traces;
  const { containerId: id, sandboxId, containerName: name, containerAttempt: attempt } = identity;
  const imageId = traces.imageId ?? 'unknown';
  const logPath = `${name}/${attempt}.log`; // as a kubelet calls it
  const logDirectory = sandbox?.config.logDirectory ?? '';
  return {
    id,
    sandboxId,
    state: 'UNKNOWN',
    createdAtNs: changedAtNs,
    imageId,
    imageRef: imageId,
    logPath: criLogPath(logDirectory, logPath) ?? traces.noLogPath,
    vm: { domainName: domainNameOf(id), domainUuid, vcpus: 1, memoryMiB: 1, uid, tap: tapNameOf(id) },
    config: {
      name,
      attempt,
      image: imageId,
      userSpecifiedImage: '',
      labels: { ...podLabels(metadataOf(identity)), 'io.kubernetes.container.name': name },
      annotations: { 'io.kubernetes.container.restartCount': String(attempt) },
      mounts: [],
      logPath,
      stdin: false,
      stdinOnce: false,
      tty: false,
      stopSignal: 0,
    },
  };
}

/** Whose VM it is. */
export function metadataOf({ podName, namespace, podUid, sandboxAttempt }: VmIdentity): SandboxMetadata {
  return { name: podName, namespace, uid: podUid, attempt: sandboxAttempt };
}

/** The labels by which a kubelet finds its pods. */
function podLabels({ name, namespace, uid }: SandboxMetadata): StringMap {
  return { 'io.kubernetes.pod.name': name, 'io.kubernetes.pod.namespace': namespace, 'io.kubernetes.pod.uid': uid };
}

function logDirectoryOf(containers: readonly Container[]): string {
  for (const { logPath, config } of containers) {
    if (config.logPath !== '' && logPath.endsWith(`/${config.logPath}`)) return logPath.slice(0, -config.logPath.length - 1);
  }
  return '';
}
