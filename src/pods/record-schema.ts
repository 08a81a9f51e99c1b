import { z } from 'zod';
import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/sandbox.ts';

/** Version of the records on disk; a change of their shape needs a new one and a reader of the old. */
export const recordVersion = 1;

const map = z.record(z.string(), z.string());
const ns = z
  .string()
  .regex(/^[0-9]+$/)
  .transform(BigInt);
const id = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const mode = z.enum(['POD', 'CONTAINER', 'NODE', 'TARGET']);

const resources = z.strictObject({
  cpuPeriodUs: z.int(),
  cpuQuotaUs: z.int(),
  cpuShares: z.int(),
  memoryLimitBytes: z.int(),
  memorySwapLimitBytes: z.int(),
  oomScoreAdj: z.int(),
  cpusetCpus: z.string(),
  cpusetMems: z.string(),
  unified: map,
  hugepageLimits: z.array(z.strictObject({ pageSize: z.string(), limitBytes: count })),
});

const sandbox = z.strictObject({
  id,
  state: z.enum(['CREATING', 'READY', 'NOTREADY']),
  createdAtNs: ns,
  ips: z.array(z.string()),
  config: z.strictObject({
    metadata: z.strictObject({ name: z.string(), namespace: z.string(), uid: z.string(), attempt: count }),
    hostname: z.string(),
    logDirectory: z.string(),
    dns: z.strictObject({ servers: z.array(z.string()), searches: z.array(z.string()), options: z.array(z.string()) }),
    portMappings: z.array(
      z.strictObject({ protocol: z.enum(['TCP', 'UDP', 'SCTP']), containerPort: count, hostPort: count, hostIp: z.string() }),
    ),
    labels: map,
    annotations: map,
    cgroupParent: z.string(),
    namespaceOptions: z.strictObject({ network: mode, pid: mode, ipc: mode }),
    resources: resources.exactOptional(),
    overhead: resources.exactOptional(),
    runtimeHandler: z.string(),
  }),
});

const container = z.strictObject({
  id,
  sandboxId: id,
  state: z.enum(['CREATING', 'CREATED', 'RUNNING', 'EXITED', 'UNKNOWN']),
  createdAtNs: ns,
  startedAtNs: ns.exactOptional(),
  bootId: z.string().exactOptional(),
  report: z.strictObject({ exitCode: z.int().min(0).max(255), message: z.string() }).exactOptional(),
  exit: z
    .strictObject({
      exitCode: z.int(),
      reason: z.enum(['Completed', 'Error', 'OOMKilled', 'StartError', 'Unknown']),
      message: z.string(),
      finishedAtNs: ns,
    })
    .exactOptional(),
  imageId: z.string(),
  imageRef: z.string(),
  logPath: z.string(),
  vm: z.strictObject({
    domainName: z.string(),
    domainUuid: z.uuid(),
    vcpus: z.int().min(1),
    memoryMiB: z.int().min(1),
    uid: z.int().min(1),
    tap: z.string().min(1).max(15),
  }),
  config: z.strictObject({
    name: z.string(),
    attempt: count,
    image: z.string(),
    userSpecifiedImage: z.string(),
    labels: map,
    annotations: map,
    mounts: z.array(
      z.strictObject({
        containerPath: z.string(),
        hostPath: z.string(),
        readonly: z.boolean(),
        selinuxRelabel: z.boolean(),
        propagation: z.int(),
        recursiveReadOnly: z.boolean(),
      }),
    ),
    logPath: z.string(),
    resources: resources.exactOptional(),
    stdin: z.boolean(),
    stdinOnce: z.boolean(),
    tty: z.boolean(),
    stopSignal: z.int(),
  }),
});

/** Checks a sandbox's record as it comes from disk. Throws with what is wrong. */
export function parseSandbox(value: unknown): Sandbox {
  return sandbox.parse(value);
}

/** Checks a container's record as it comes from disk. Throws with what is wrong. */
export function parseContainer(value: unknown): Container {
  return container.parse(value);
}
