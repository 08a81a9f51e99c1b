import type { Container } from './container.ts';
import type { Sandbox } from './sandbox.ts';

/** What happened, in CRI's words (`ContainerEventType`). */
export type ContainerEventKind = 'created' | 'started' | 'stopped' | 'deleted';

/** A change of a container or a sandbox that is durable already, with its pod as it was then. Records are never changed: the event stays what it is. */
export interface ContainerEvent {
  readonly kind: ContainerEventKind;
  /** The container's id, or the sandbox's for what happens to it. */
  readonly containerId: string;
  /** Unix time in nanoseconds, rising from event to event. */
  readonly atNs: bigint;
  /** As it is after the change, and before a deletion; `undefined` when its record cannot be read. */
  readonly sandbox: Sandbox | undefined;
  /** All containers of the sandbox that callers may see. */
  readonly containers: readonly Container[];
}

/** The events that a change of a container's record stands for. */
export function containerEvents(before: Container | undefined, after: Container | undefined): readonly ContainerEventKind[] {
  const from = before?.state ?? 'CREATING';
  const to = after?.state;
  if (to === undefined) return from === 'CREATING' ? [] : ['deleted'];
  if (from === to) return [];
  switch (to) {
    case 'CREATED':
      return ['created'];
    case 'RUNNING':
      return ['started'];
    case 'EXITED':
      return ['stopped'];
    case 'CREATING':
    case 'UNKNOWN':
      return [];
  }
}

/** The events that a change of a sandbox's record stands for: a sandbox that is made has started, as containerd tells it. */
export function sandboxEvents(before: Sandbox | undefined, after: Sandbox | undefined): readonly ContainerEventKind[] {
  const from = before?.state ?? 'CREATING';
  const to = after?.state;
  if (to === undefined) return from === 'CREATING' ? [] : ['deleted'];
  if (from === to) return [];
  if (to === 'READY') return ['created', 'started'];
  return from === 'READY' && to === 'NOTREADY' ? ['stopped'] : [];
}
