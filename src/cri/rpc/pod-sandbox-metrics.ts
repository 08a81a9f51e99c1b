import { PodSandboxMetricsSchema, RuntimeService } from '../../gen/runtime/v1/api_pb.js';
import type { SandboxStatistics } from '../../model/statistics.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { metricDescriptors, podMetricsToProto } from '../metrics-answer.ts';
import { encodedRpc, encodedStreamRpc, rpc } from '../table.ts';

const { listMetricDescriptors: descriptors, listPodSandboxMetrics: list, streamPodSandboxMetrics: stream } = RuntimeService.method;
const items = makeEncodedItems<typeof PodSandboxMetricsSchema, SandboxStatistics>(
  [list, stream],
  PodSandboxMetricsSchema,
  podMetricsToProto,
);

/** Names every metric that there can be: a kubelet asks once, and drops what it was not told of. */
export const listMetricDescriptors = rpc(descriptors, {}, () => ({ descriptors: [...metricDescriptors] }));

/** The metrics of all READY sandboxes, with the last sample's time. */
export const listPodSandboxMetrics = encodedRpc(list, {}, async (_request, { pods }) => items.join(await pods.statistics.sandboxes()));

/** The same list in pieces. */
export const streamPodSandboxMetrics = encodedStreamRpc(stream, {}, async function* (_request, { pods }) {
  yield* items.chunks(await pods.statistics.sandboxes());
});
