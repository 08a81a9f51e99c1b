import type { Container, ContainerState } from '../../../src/model/container.ts';
import type { LinuxResources, Sandbox, SandboxState } from '../../../src/model/sandbox.ts';
import type { FileUsage, LeafUsage, NicCounters, Pressure } from '../../../src/model/statistics.ts';

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

/** Pressure with a number of its own in each place. */
export function pressureOf(first: number): Pressure {
  return {
    some: { avg10: first + 0.1, avg60: first + 0.2, avg300: first + 0.3, totalNs: BigInt(first) * 1_000_000_000n },
    full: { avg10: first + 0.4, avg60: first + 0.5, avg300: first + 0.6, totalNs: BigInt(first) * 2_000_000_000n },
  };
}

/** What a VM of cgroup v2 uses: every part there, no two numbers the same. */
export const leafUsage: LeafUsage = {
  cpu: { usageNs: 12_345_678_901n, userNs: 9_000_000_000n, systemNs: 3_345_678_901n, pressure: pressureOf(1) },
  memory: {
    usageBytes: 100_000_000,
    workingSetBytes: 90_000_000,
    rssBytes: 70_000_000,
    cacheBytes: 20_000_000,
    mappedFileBytes: 5_000_000,
    limitBytes: 134_217_728,
    swapBytes: 4_096,
    pageFaults: 31_000,
    majorPageFaults: 17,
    pressure: pressureOf(2),
  },
  ioPressure: pressureOf(3),
  throttling: { periods: 400, throttledPeriods: 40, throttledNs: 6_500_000_000n },
  maxMemoryBytes: 110_000_000,
  kernelMemoryBytes: 1_500_000,
  limitHits: 3,
  oomKills: 1,
  disks: [{ number: '254:0', device: '/dev/vda', readBytes: 1_111, writtenBytes: 2_222, reads: 11, writes: 22 }],
  tasks: { processes: 2, threads: 9, maxThreads: 512, fileDescriptors: 61, sockets: 6 },
};

/** What its files take. */
export const fileUsage: FileUsage = {
  usedBytes: 8_388_608,
  inodesUsed: 2,
  filesystem: {
    directory: '/var/lib/vmlet/vms',
    device: '/dev/vdb1',
    sizeBytes: 10_000_000_000,
    inodes: 655_360,
    freeInodes: 600_000,
  },
};

/** Counters of its interface. */
export const nicCounters: NicCounters = {
  name: 'eth0',
  rxBytes: 1_001,
  rxPackets: 101,
  rxErrors: 1,
  rxDropped: 2,
  txBytes: 2_002,
  txPackets: 202,
  txErrors: 3,
  txDropped: 4,
};
