import type { MessageInitShape } from '@bufbuild/protobuf';
import { SecurityProfile_ProfileType, type ContainerConfigSchema } from '../../src/gen/runtime/v1/api_pb.js';
import type { Pod, PodContainer, PodPort } from './pod.ts';
import { containerResources } from './resources.ts';
import { namespaceOptions, podLabels } from './sandbox-config.ts';
import { containerLogPath, podFiles, terminationLog, type KubeletSettings } from './settings.ts';

/** CRI `ContainerConfig` as plain data. */
export type ContainerConfigInit = Exclude<MessageInitShape<typeof ContainerConfigSchema>, { $typeName: string }>;

/** One container of a pod at its n-th start; the image's id is what ImageStatus or PullImage answered. */
export interface ContainerAttempt {
  readonly container: PodContainer;
  readonly attempt: number;
  readonly imageId: string;
}

/** What a kubelet 1.36 sends with CreateContainer (field shapes taken from recorded calls). */
export function containerConfig(
  settings: KubeletSettings,
  pod: Pod,
  { container, attempt, imageId }: ContainerAttempt,
): ContainerConfigInit {
  return {
    metadata: { name: container.name, attempt },
    image: { image: imageId, userSpecifiedImage: container.image },
    command: [...container.command],
    args: [...container.args],
    workingDir: container.workingDir,
    envs: [...container.env, ...serviceEnvironment(settings)].map(({ name, value }) => ({ key: name, value: Buffer.from(value) })),
    mounts: mounts(settings, pod, { container, attempt }),
    labels: { ...podLabels(pod), 'io.kubernetes.container.name': container.name },
    annotations: annotations(pod, container, attempt),
    logPath: containerLogPath(container, attempt),
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
    linux: {
      resources: containerResources(pod, container, settings.memoryCapacityBytes),
      securityContext: {
        namespaceOptions: namespaceOptions(pod),
        runAsUser: { value: 0n },
        maskedPaths,
        readonlyPaths,
        seccomp: { profileType: SecurityProfile_ProfileType.Unconfined },
      },
    },
  };
}

const maskedPaths = [
  ...['asound', 'acpi', 'interrupts', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi'].map(
    (name) => `/proc/${name}`,
  ),
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

function annotations(pod: Pod, container: PodContainer, attempt: number): Record<string, string> {
  const name = 'io.kubernetes.container';
  return {
    [`${name}.hash`]: hash(JSON.stringify(container)),
    [`${name}.restartCount`]: String(attempt),
    [`${name}.terminationMessagePath`]: container.terminationMessagePath,
    [`${name}.terminationMessagePolicy`]: container.terminationMessagePolicy,
    'io.kubernetes.pod.terminationGracePeriod': String(pod.terminationGracePeriodSeconds),
    ...(container.ports.length === 0 ? {} : { [`${name}.ports`]: JSON.stringify(container.ports.map(portJson)) }),
  };
}

/** A port as Go writes it: empty fields left out, in the order of the type. */
function portJson(port: PodPort): Record<string, unknown> {
  return {
    ...(port.name === undefined ? {} : { name: port.name }),
    ...(port.hostPort === 0 ? {} : { hostPort: port.hostPort }),
    containerPort: port.containerPort,
    protocol: port.protocol,
    ...(port.hostIp === '' ? {} : { hostIP: port.hostIp }),
  };
}

function mounts(settings: KubeletSettings, pod: Pod, which: Omit<ContainerAttempt, 'imageId'>): NonNullable<ContainerConfigInit['mounts']> {
  const files = podFiles(settings, pod);
  const { container, attempt } = which;
  return [
    ...(pod.automountServiceAccountToken
      ? [{ containerPath: '/var/run/secrets/kubernetes.io/serviceaccount', hostPath: files.token, readonly: true }]
      : []),
    { containerPath: '/etc/hosts', hostPath: files.etcHosts },
    { containerPath: container.terminationMessagePath, hostPath: terminationLog(settings, pod, container, attempt) },
  ];
}

function serviceEnvironment({ apiServer: { address, port } }: KubeletSettings): { name: string; value: string }[] {
  const url = `tcp://${address}:${port}`;
  return Object.entries({
    KUBERNETES_SERVICE_HOST: address,
    KUBERNETES_SERVICE_PORT: String(port),
    KUBERNETES_SERVICE_PORT_HTTPS: String(port),
    KUBERNETES_PORT: url,
    [`KUBERNETES_PORT_${port}_TCP`]: url,
    [`KUBERNETES_PORT_${port}_TCP_PROTO`]: 'tcp',
    [`KUBERNETES_PORT_${port}_TCP_PORT`]: String(port),
    [`KUBERNETES_PORT_${port}_TCP_ADDR`]: address,
  }).map(([name, value]) => ({ name, value }));
}

/** FNV-1a, 32 bits: like the kubelet's, only its equality means something. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value.toString(16);
}
