import { PodSandboxStatsSchema, RuntimeService, type PodSandboxStatsFilter } from '../../gen/runtime/v1/api_pb.js';
import type { SandboxStatistics } from '../../model/statistics.ts';
import type { Pods } from '../../pods/pods.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { filterFields, filterSandboxes } from '../filters.ts';
import { sandboxStatsToProto } from '../stats-answer.ts';
import { encodedRpc, encodedStreamRpc, rpc } from '../table.ts';

const { podSandboxStats: one, listPodSandboxStats: list, streamPodSandboxStats: stream } = RuntimeService.method;
const items = makeEncodedItems<typeof PodSandboxStatsSchema, SandboxStatistics>([list, stream], PodSandboxStatsSchema, sandboxStatsToProto);

/** Tells what a READY sandbox and its containers use. */
export const podSandboxStats = rpc(one, { pod_sandbox_id: 'honoured' }, async (request, { pods }) => ({
  stats: sandboxStatsToProto(await pods.statistics.sandbox(request.podSandboxId)),
}));

/** The same of all READY sandboxes. */
export const listPodSandboxStats = encodedRpc(list, filterFields, async (request, { pods }) =>
  items.join(await chosen(pods, request.filter)),
);

/** The same list in pieces. */
export const streamPodSandboxStats = encodedStreamRpc(stream, filterFields, async function* (request, { pods }) {
  yield* items.chunks(await chosen(pods, request.filter));
});

async function chosen({ statistics }: Pods, filter: PodSandboxStatsFilter | undefined): Promise<readonly SandboxStatistics[]> {
  const all = await statistics.sandboxes();
  const passed = new Set(
    filterSandboxes(
      all.map(({ sandbox }) => sandbox),
      filter,
    ),
  );
  return all.filter(({ sandbox }) => passed.has(sandbox));
}
