import { ContainerStatsSchema, RuntimeService, type ContainerStatsFilter } from '../../gen/runtime/v1/api_pb.js';
import type { ContainerStatistics } from '../../model/statistics.ts';
import type { Pods } from '../../pods/pods.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { filterContainers, filterFields } from '../filters.ts';
import { containerStatsToProto } from '../stats-answer.ts';
import { encodedRpc, encodedStreamRpc, rpc } from '../table.ts';

const { containerStats: one, listContainerStats: list, streamContainerStats: stream } = RuntimeService.method;
const items = makeEncodedItems<typeof ContainerStatsSchema, ContainerStatistics>(
  [list, stream],
  ContainerStatsSchema,
  containerStatsToProto,
);

/** Tells what a RUNNING container uses: its last sample, a few seconds old. */
export const containerStats = rpc(one, { container_id: 'honoured' }, async (request, { pods }) => ({
  stats: containerStatsToProto(await pods.statistics.container(request.containerId)),
}));

/** The same of all RUNNING containers. */
export const listContainerStats = encodedRpc(list, filterFields, async (request, { pods }) =>
  items.join(await chosen(pods, request.filter)),
);

/** The same list in pieces. */
export const streamContainerStats = encodedStreamRpc(stream, filterFields, async function* (request, { pods }) {
  yield* items.chunks(await chosen(pods, request.filter));
});

async function chosen({ statistics }: Pods, filter: ContainerStatsFilter | undefined): Promise<readonly ContainerStatistics[]> {
  const all = await statistics.containers();
  const passed = new Set(
    filterContainers(
      all.map(({ container }) => container),
      filter,
    ),
  );
  return all.filter(({ container }) => passed.has(container));
}
