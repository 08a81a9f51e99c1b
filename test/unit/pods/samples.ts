import type { Container, ContainerState } from '../../../src/model/container.ts';
import type { LinuxResources, Sandbox, SandboxState } from '../../../src/model/sandbox.ts';

/** Resources as a kubelet writes them, nothing set but what is given. */
export function resourcesOf(given: Partial<LinuxResources>): LinuxResources {
  return {
    cpuPeriodUs: 0,
    cpuQuotaUs: 0,
    cpuShares: 0,
    memoryLimitBytes: 0,
    memorySwapLimitBytes: 0,
    oomScoreAdj: 0,
    cpusetCpus: '',
    cpusetMems: '',
    unified: {},
    hugepageLimits: [],
    ...given,
  };
}

/** A sandbox like those of a real pod. */
export function sandboxOf(given: { readonly state?: SandboxState; readonly id?: string }): Sandbox {
  return {
    id: (given.id ?? 'a').padEnd(64, '0'),
    state: given.state ?? 'READY',
    createdAtNs: 1_700_000_000_000_000_000n,
    ips: ['10.1.0.5'],
    config: {
      metadata: { name: 'pod', namespace: 'default', uid: '4f6c0b1e-0000-4000-8000-000000000001', attempt: 0 },
      hostname: 'pod',
      logDirectory: '/var/log/pods/default_pod_uid',
      dns: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] },
      portMappings: [],
      labels: { app: 'x' },
      annotations: {},
      cgroupParent: '/kubepods/burstable/pod4f6c0b1e',
      namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
      runtimeHandler: 'vm',
    },
  };
}

/** A container of that sandbox. */
export function containerOf(given: {
  readonly id?: string;
  readonly state?: ContainerState;
  readonly name?: string;
  readonly attempt?: number;
}): Container {
  const id = (given.id ?? 'c0').padEnd(64, '0');
  return {
    id,
    sandboxId: sandboxOf({}).id,
    state: given.state ?? 'CREATED',
    createdAtNs: 1_700_000_000_000_000_001n,
    imageId: `sha256:${'1'.repeat(64)}`,
    imageRef: `sha256:${'1'.repeat(64)}`,
    logPath: '/var/log/pods/default_pod_uid/vm/0.log',
    vm: {
      domainName: `vmlet-${id.slice(0, 12)}`,
      domainUuid: 'a0000000-0000-4000-8000-000000000000',
      vcpus: 1,
      memoryMiB: 128,
      uid: 1_500_000_000,
      tap: `t${id.slice(0, 13)}`,
    },
    config: {
      name: given.name ?? 'vm',
      attempt: given.attempt ?? 0,
      image: `sha256:${'1'.repeat(64)}`,
      userSpecifiedImage: 'tiny',
      labels: {},
      annotations: {},
      mounts: [],
      logPath: 'vm/0.log',
      stdin: false,
      stdinOnce: false,
      tty: false,
      stopSignal: 0,
    },
  };
}
