import { containerEvents, sandboxEvents, type ContainerEvent } from '../model/container-event.ts';
import { mayRun, type Container } from '../model/container.ts';
import { hasCode, invalid, VmletError } from '../model/errors.ts';
import { sandboxKey, type Sandbox, type SandboxMetadata } from '../model/sandbox.ts';
import type { Records } from '../records/records.ts';
import { makeAnnouncer, watchRecords } from './events.ts';
import { makeSalvagedRecords } from './salvaged-records.ts';

/** Sandboxes and containers as they are on disk, read from memory. Hidden states stay inside the room. */
export interface PodStore {
  readonly sandboxes: Records<Sandbox>;
  readonly containers: Records<Container>;
  /** Every container of a sandbox, hidden ones too. */
  readonly containersOf: (sandboxId: string) => readonly Container[];
  readonly sandboxByKey: (metadata: SandboxMetadata) => Sandbox | undefined;
  readonly containerByDomain: (domainName: string) => Container | undefined;
  /** What callers may see, oldest first. Throws RECORDS_UNREADABLE rather than answer a shorter list. */
  readonly visibleSandboxes: () => readonly Sandbox[];
  readonly visibleContainers: () => readonly Container[];
  /** By id or unique prefix, among what callers may see. Throws NOT_FOUND, or INVALID for an ambiguous prefix. */
  readonly sandbox: (idOrPrefix: string) => Sandbox;
  readonly container: (idOrPrefix: string) => Container;
  /** The same for calls to which an unknown id is fine; hidden ones are found by their full id. */
  readonly sandboxIdOf: (idOrPrefix: string) => string | undefined;
  readonly containerIdOf: (idOrPrefix: string) => string | undefined;
  /** Writes a container, wakes those who wait for it and tells who listens. */
  readonly putContainer: (container: Container) => Promise<void>;
  readonly removeContainer: (id: string) => Promise<void>;
  /** Tells of each durable change of a sandbox or container that callers can see. Answers a function that unsubscribes. */
  readonly onEvent: (listener: (event: ContainerEvent) => void) => () => void;
  /** Shows a sandbox or container whose record cannot be read, until it is written or removed. */
  readonly showSandbox: (sandbox: Sandbox) => void;
  readonly showContainer: (container: Container) => void;
  /** Waits until the container's VM does not run any more (or it is gone). Throws the signal's reason. */
  readonly ended: (id: string, signal: AbortSignal) => Promise<void>;
}

/** Makes the store over opened records. */
export function makePodStore(opened: { readonly sandboxes: Records<Sandbox>; readonly containers: Records<Container> }): PodStore {
  const waiting = new Map<string, Set<() => void>>();
  const announcer = makeAnnouncer();
  const siblings = (sandboxId: string): Container[] => shownContainers().filter((container) => container.sandboxId === sandboxId);

  const sandboxRecords = makeSalvagedRecords(opened.sandboxes);
  const containerRecords = makeSalvagedRecords(opened.containers);
  const sandboxes = watchRecords(sandboxRecords, (before, after) => {
    const sandbox = after ?? before;
    if (!sandbox) return;
    announcer.announce(sandboxEvents(before, after), () => ({ containerId: sandbox.id, sandbox, containers: siblings(sandbox.id) }));
  });
  const containers = watchRecords(containerRecords, (before, after) => {
    const container = after ?? before;
    if (!container) return;
    wake(container.id);
    const { id, sandboxId } = container;
    announcer.announce(containerEvents(before, after), () => ({
      containerId: id,
      sandbox: sandboxes.get(sandboxId),
      containers: siblings(sandboxId),
    }));
  });

  function wake(id: string): void {
    if (mayRun(containers.get(id)?.state)) return;
    for (const resolve of waiting.get(id) ?? []) resolve();
    waiting.delete(id);
  }

  async function ended(id: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!mayRun(containers.get(id)?.state)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const others = waiting.get(id) ?? new Set();
    waiting.set(id, others.add(resolve));
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      others.delete(resolve);
      signal.removeEventListener('abort', onAbort);
    }
  }

  const shownSandboxes = (): Sandbox[] => [...sandboxes.all().values()].filter(({ state }) => state !== 'CREATING').toSorted(byAge);
  const shownContainers = (): Container[] => [...containers.all().values()].filter(({ state }) => state !== 'CREATING').toSorted(byAge);

  function findSandbox(id: string): Sandbox {
    requireReadable(sandboxes, id);
    return resolveId(id, sandboxes.get(id), shownSandboxes, 'sandbox');
  }

  function findContainer(id: string): Container {
    requireReadable(containers, id);
    return resolveId(id, containers.get(id), shownContainers, 'container');
  }

  return {
    sandboxes,
    containers,
    containersOf: (sandboxId) => [...containers.all().values()].filter((container) => container.sandboxId === sandboxId),
    sandboxByKey: (metadata) => {
      requireComplete(sandboxes); // one that cannot be read may be it
      const key = sandboxKey(metadata);
      return sandboxes
        .all()
        .values()
        .find((sandbox) => sandboxKey(sandbox.config.metadata) === key);
    },
    containerByDomain: (name) =>
      containers
        .all()
        .values()
        .find((container) => container.vm.domainName === name),
    visibleSandboxes: () => {
      requireComplete(sandboxes);
      return shownSandboxes();
    },
    visibleContainers: () => {
      requireComplete(containers);
      return shownContainers();
    },
    sandbox: findSandbox,
    container: findContainer,
    sandboxIdOf: (id) => (sandboxes.get(id) ?? unlessUnknown(() => findSandbox(id)))?.id,
    containerIdOf: (id) => (containers.get(id) ?? unlessUnknown(() => findContainer(id)))?.id,
    putContainer: async (container) => containers.put(container.id, container),
    removeContainer: async (id) => containers.remove(id),
    onEvent: announcer.onEvent,
    showSandbox: (sandbox) => sandboxRecords.show(sandbox.id, sandbox),
    showContainer: (container) => containerRecords.show(container.id, container),
    ended,
  };
}

function byAge(a: Sandbox | Container, b: Sandbox | Container): number {
  return a.createdAtNs < b.createdAtNs ? -1 : 1;
}

function requireComplete(records: Pick<Records<never>, 'unreadable'>): void {
  requireReadable(records, '');
}

/** Throws RECORDS_UNREADABLE when a record of this id, or of one that begins so, cannot be read: nobody may believe it gone. */
function requireReadable({ unreadable }: Pick<Records<never>, 'unreadable'>, id: string): void {
  const bad = unreadable.find((record) => record.id.startsWith(id));
  if (bad) throw new VmletError({ code: 'RECORDS_UNREADABLE', file: bad.file }, `${bad.file} cannot be read: ${bad.problem}`);
}

function resolveId<T extends { readonly id: string; readonly state: string }>(
  id: string,
  exact: T | undefined,
  shown: () => readonly T[],
  kind: 'sandbox' | 'container',
): T {
  if (exact && exact.state !== 'CREATING') return exact;
  const found = id === '' ? [] : shown().filter((one) => one.id.startsWith(id));
  const [only] = found;
  if (found.length > 1) throw invalid(`${kind} id`, `${JSON.stringify(id)} is the beginning of ${found.length} ids`);
  if (!only) throw new VmletError({ code: 'NOT_FOUND', kind, id }, `${kind} ${JSON.stringify(id)} does not exist`);
  return only;
}

function unlessUnknown<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
