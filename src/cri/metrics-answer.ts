import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  MetricType,
  type ContainerMetricsSchema,
  type MetricDescriptorSchema,
  type MetricSchema,
  type PodSandboxMetricsSchema,
} from '../gen/runtime/v1/api_pb.js';
import type { ContainerStatistics, SandboxStatistics } from '../model/statistics.ts';
import { containerMetrics, networkMetrics } from './metric-table.ts';
import type { Metric } from './metric.ts';

/** The labels of every metric in containerd's order; those of its own follow. */
const labelKeys = ['pod', 'namespace', 'container', 'id', 'image'] as const;

/** Who is measured; a pod's own metrics have neither container nor image. */
type Subject = Readonly<Record<(typeof labelKeys)[number], string>>;

/** Every metric that a node can tell; the same from the first call to the last. */
export const metricDescriptors: readonly MessageInitShape<typeof MetricDescriptorSchema>[] = [...containerMetrics, ...networkMetrics].map(
  ({ name, help, labels }) => ({ name, help, labelKeys: [...labelKeys, ...labels] }),
);

/** The metrics of a sandbox and of its containers. */
export function podMetricsToProto(statistics: SandboxStatistics): MessageInitShape<typeof PodSandboxMetricsSchema> {
  const { sandbox, sample, containers } = statistics;
  const { name: pod, namespace } = sandbox.config.metadata;
  const subject: Subject = { pod, namespace, container: '', id: sandbox.id, image: '' };
  const nics = sample?.nics ?? [];
  return {
    podSandboxId: sandbox.id,
    metrics: networkMetrics.flatMap((metric) => nics.flatMap((nic) => metricsOf(metric, nic, subject, sample?.atNs ?? 0n))),
    containerMetrics: containers.map((one) => containerMetricsToProto(one, { pod, namespace })),
  };
}

function containerMetricsToProto(
  statistics: ContainerStatistics,
  of: Pick<Subject, 'pod' | 'namespace'>,
): MessageInitShape<typeof ContainerMetricsSchema> {
  const { container, sample } = statistics;
  const { id, config } = container;
  const subject: Subject = { ...of, container: config.name, id, image: config.userSpecifiedImage || config.image };
  if (!sample) return { containerId: id, metrics: [] };
  const measured = { container, sample };
  return { containerId: id, metrics: containerMetrics.flatMap((metric) => metricsOf(metric, measured, subject, sample.atNs)) };
}

function metricsOf<T>(
  { name, type, values }: Metric<T>,
  measured: T,
  subject: Subject,
  timestamp: bigint,
): MessageInitShape<typeof MetricSchema>[] {
  return values(measured).map(({ value, labels }) => ({
    name,
    timestamp,
    metricType: type === 'counter' ? MetricType.COUNTER : MetricType.GAUGE,
    labelValues: [...labelKeys.map((key) => subject[key]), ...labels],
    value: { value: BigInt(value) },
  }));
}
