import type { ContainerEvent, ContainerEventKind } from '../model/container-event.ts';
import type { Records } from '../records/records.ts';
import { makeClock } from './clock.ts';

/** Tells listeners of changes. */
export interface Announcer {
  /** Answers a function that unsubscribes. Listeners must return at once. */
  readonly onEvent: (listener: (event: ContainerEvent) => void) => () => void;
  /** Gathers the facts only when somebody listens. */
  readonly announce: (kinds: readonly ContainerEventKind[], facts: () => Omit<ContainerEvent, 'kind' | 'atNs'>) => void;
}

/** Nobody listens yet. */
export function makeAnnouncer(): Announcer {
  const listeners = new Set<(event: ContainerEvent) => void>();
  const clock = makeClock(0n);
  return {
    onEvent: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    announce: (kinds, facts) => {
      if (listeners.size === 0 || kinds.length === 0) return;
      const common = facts();
      for (const kind of kinds) {
        const event = { ...common, kind, atNs: clock.nowNs() };
        for (const listener of listeners) listener(event);
      }
    },
  };
}

/** Records whose changes are told once they are durable. */
export function watchRecords<T>(records: Records<T>, changed: (before: T | undefined, after: T | undefined) => void): Records<T> {
  return {
    ...records,
    put: async (id, record) => {
      const before = records.get(id);
      await records.put(id, record);
      changed(before, record);
    },
    remove: async (id) => {
      const before = records.get(id);
      await records.remove(id);
      changed(before, undefined);
    },
  };
}
