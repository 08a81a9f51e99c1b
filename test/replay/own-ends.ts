import { isSet, textAt, valueAt } from './json.ts';
import type { RecordedCall } from './recording.ts';

/** How a recorded container came to its end without being stopped. */
export type OwnEnd = 'success' | 'failure';

/** The containers of a recording that ended by themselves, by recorded id. */
export function findOwnEnds(calls: readonly RecordedCall[]): ReadonlyMap<string, OwnEnd> {
  const ends = new Map<string, OwnEnd>();
  const stopped = new Set<string>();
  const sandboxes = new Map<string, string>();
  for (const { method, request, response = {} } of calls) {
    if (method === 'CreateContainer') sandboxes.set(textAt(response, 'container_id'), textAt(request, 'pod_sandbox_id'));
    if (method === 'StopContainer') stopped.add(textAt(request, 'container_id'));
    if (method === 'StopPodSandbox') stopped.add(textAt(request, 'pod_sandbox_id'));
    if (method !== 'ContainerStatus') continue;
    const container = valueAt(response, 'status');
    const id = textAt(container, 'id');
    if (textAt(container, 'state') !== 'CONTAINER_EXITED' || stopped.has(id) || stopped.has(sandboxes.get(id) ?? '')) continue;
    ends.set(id, isSet(valueAt(container, 'exit_code')) ? 'failure' : 'success');
  }
  return ends;
}
