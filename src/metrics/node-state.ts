import type { Condition } from '../model/condition.ts';
import type { ContainerState } from '../model/container.ts';
import { hasCode } from '../model/errors.ts';
import type { SandboxState } from '../model/sandbox.ts';
import type { MetricsRegistry, Sample } from './registry.ts';

/** What the metrics look up at each scrape. Every function answers at once, from memory. */
export interface NodeState {
  /** As the CRI's `Status` has them, by type. */
  readonly conditions: () => Readonly<Record<string, Condition>>;
  /** Both may throw RECORDS_UNREADABLE. */
  readonly sandboxes: () => Iterable<{ readonly state: SandboxState }>;
  readonly containers: () => Iterable<{ readonly state: ContainerState }>;
  readonly accelerator: () => 'kvm' | 'qemu' | undefined;
  readonly imageStoreBytes: () => number;
  readonly imageCount: () => number;
}

/** States that callers of the CRI see; each has a series, also when there are none. */
const sandboxStates: readonly SandboxState[] = ['READY', 'NOTREADY'];
const vmStates: readonly ContainerState[] = ['CREATED', 'RUNNING', 'EXITED', 'UNKNOWN'];

/** Declares what is looked up. */
export function declareNodeState(registry: MetricsRegistry, state: NodeState): void {
  const { sampledGauge } = registry;
  sampledGauge(
    { name: 'vmlet_ready', help: '1 while the condition holds (RuntimeReady, NetworkReady, Serving), else 0.', labels: ['condition'] },
    () => Object.entries(state.conditions()).map(([condition, { ready }]) => [{ condition }, Number(ready)]),
  );
  sampledGauge({ name: 'vmlet_sandboxes', help: 'Pod sandboxes, by CRI state.', labels: ['state'] }, () =>
    countByState(sandboxStates, unlessIncomplete(state.sandboxes) ?? []),
  );
  sampledGauge({ name: 'vmlet_vms', help: 'VMs (CRI containers), by CRI state.', labels: ['state'] }, () =>
    countByState(vmStates, unlessIncomplete(state.containers) ?? []),
  );
  sampledGauge(
    {
      name: 'vmlet_records_readable',
      help: '0 when the record of a sandbox or VM cannot be read: lists are then refused with UNAVAILABLE, and the numbers of that kind are 0; else 1.',
    },
    () => [[{}, unlessIncomplete(state.sandboxes) && unlessIncomplete(state.containers) ? 1 : 0]],
  );
  sampledGauge({ name: 'vmlet_images', help: 'Images in the store.' }, () => [[{}, state.imageCount()]]);
  sampledGauge(
    { name: 'vmlet_image_store_bytes', help: 'Space that the image store takes on its file system, measured every few seconds.' },
    () => [[{}, state.imageStoreBytes()]],
  );
  sampledGauge(
    {
      name: 'vmlet_accelerator_info',
      help: 'How VMs run: kvm, qemu (emulated), or unknown until it has been probed. Always 1.',
      labels: ['accelerator'],
    },
    () => [[{ accelerator: state.accelerator() ?? 'unknown' }, 1]],
  );
}

function unlessIncomplete<T>(list: () => Iterable<T>): Iterable<T> | undefined {
  try {
    return list();
  } catch (error) {
    if (hasCode(error, 'RECORDS_UNREADABLE')) return undefined;
    throw error;
  }
}

function countByState<S extends string>(states: readonly S[], found: Iterable<{ readonly state: S }>): readonly Sample<'state'>[] {
  const counts = new Map<S, number>(states.map((state) => [state, 0]));
  for (const { state } of found) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => [{ state }, count]);
}
