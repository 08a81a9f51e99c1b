import type { JsonObject } from '@bufbuild/protobuf';
import { ContainerEventResponseSchema } from '../../src/gen/runtime/v1/api_pb.js';
import { isCode, type CriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { textAt } from './json.ts';
import { fullJson } from './recording.ts';

/** GetContainerEvents as a kubelet holds it open. */
export interface EventStream {
  /** What has come so far. */
  readonly events: readonly JsonObject[];
  /** Hangs up, as a kubelet does when it ends. Throws when the stream has failed before. */
  readonly close: () => Promise<void>;
}

/** Opens the stream. */
export function openEventStream({ runtime }: CriClient): EventStream {
  const hangUp = new AbortController();
  const events: JsonObject[] = [];
  const read = async (): Promise<void> => {
    for await (const event of runtime.getContainerEvents({}, { signal: hangUp.signal })) {
      events.push(fullJson(ContainerEventResponseSchema, event));
    }
  };
  const ended = read().catch((error: unknown) => {
    if (!(hangUp.signal.aborted && isCode(error, 'CANCELLED'))) throw error;
  });
  ended.catch(() => undefined); // told by close()
  return {
    events,
    close: async () => {
      hangUp.abort();
      await ended;
    },
  };
}

/**
 * Waits until an object's events have come as they were recorded up to here; answers the differences. `recorded` are types in their
 * order, as `CONTAINER_STARTED_EVENT`.
 */
export async function compareEvents(stream: EventStream, id: string, recorded: readonly string[], timeoutMs: number): Promise<string[]> {
  const ours = (): string[] =>
    stream.events.filter((event) => textAt(event, 'container_id') === id).map((event) => textAt(event, 'container_event_type'));
  const agree = (): boolean => String(ours().slice(0, recorded.length)) === String(recorded);
  await waitFor(agree, { timeoutMs, what: 'events' }).catch(() => undefined);
  return agree() ? [] : [`GetContainerEvents of ${id}: recorded ${String(recorded)}, ours ${String(ours())}`];
}
