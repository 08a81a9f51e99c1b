import type { ContainerFilter, PodSandboxFilter } from '../gen/runtime/v1/api_pb.js';
import type { Container } from '../model/container.ts';
import type { Sandbox, StringMap } from '../model/sandbox.ts';
import { containerStateToProto } from './container-answer.ts';
import { sandboxStateToProto } from './sandbox-answer.ts';
import type { FieldSupport } from './support.ts';

/** What filters of lists and of statistics share; the latter have no state. */
type Unless<F, K extends keyof F> = Omit<F, K | '$typeName' | '$unknown'> & Partial<Pick<F, K>>;

/** Filters are honoured whole. */
export const filterFields: FieldSupport = { filter: 'honoured' };

/** The sandboxes that a filter lets through, in their order: all that is given must match. */
export function filterSandboxes(sandboxes: readonly Sandbox[], filter: Unless<PodSandboxFilter, 'state'> | undefined): readonly Sandbox[] {
  if (!filter) return sandboxes;
  const { id, state, labelSelector } = filter;
  const chosen = matchId(sandboxes, id, (sandbox) => sandbox.id);
  return chosen.filter(
    (sandbox) => (!state || sandboxStateToProto(sandbox) === state.state) && hasLabels(sandbox.config.labels, labelSelector),
  );
}

/** The containers that a filter lets through, in their order: all that is given must match. */
export function filterContainers(
  containers: readonly Container[],
  filter: Unless<ContainerFilter, 'state'> | undefined,
): readonly Container[] {
  if (!filter) return containers;
  const { id, state, podSandboxId, labelSelector } = filter;
  const inSandbox = matchId(containers, podSandboxId, (container) => container.sandboxId);
  // A unique prefix is unique among all containers, not among those that match otherwise.
  const chosen = new Set(matchId(containers, id, (container) => container.id));
  return inSandbox.filter(
    (container) =>
      chosen.has(container) &&
      (!state || containerStateToProto(container) === state.state) &&
      hasLabels(container.config.labels, labelSelector),
  );
}

/** What has this id, else what has the only id that begins so; all for an empty one, none for an ambiguous one. */
function matchId<T>(all: readonly T[], wanted: string, idOf: (one: T) => string): readonly T[] {
  if (wanted === '') return all;
  const ids = new Set(all.map(idOf).filter((id) => id.startsWith(wanted)));
  const [only] = ids.has(wanted) ? [wanted] : ids.size === 1 ? ids : [];
  return only === undefined ? [] : all.filter((one) => idOf(one) === only);
}

function hasLabels(labels: StringMap, selector: StringMap): boolean {
  return Object.entries(selector).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
