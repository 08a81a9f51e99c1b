import type { Container, ContainerConfig } from '../model/container.ts';
import { VmletError } from '../model/errors.ts';
import type { Sandbox } from '../model/sandbox.ts';

/** What CreateContainer has to do. */
export type CreatePlan =
  | {
      readonly action: 'create';
      /** Those whose domain has to go first: CREATED ones of a lower attempt, and EXITED ones whose end could not be cleared. */
      readonly supersedes: readonly Container[];
    }
  | { readonly action: 'answer'; readonly id: string };

/**
 * Decides about CreateContainer: at most one VM lives in a sandbox at a time. A CREATED container of the same name and attempt is the
 * answer to a repeated call; a CREATED one of the same name and a lower attempt is no obstacle. Throws WRONG_STATE with the reason.
 */
export function planCreate(sandbox: Sandbox, others: readonly Container[], config: ContainerConfig): CreatePlan {
  requireReady(sandbox);
  const twin = others.find((other) => other.config.name === config.name && other.config.attempt === config.attempt);
  if (twin?.state === 'CREATED' && twin.config.image === config.image) return { action: 'answer', id: twin.id };
  if (twin) throw wrongState(twin, `container ${config.name} attempt ${config.attempt} exists already and is ${twin.state}: ${twin.id}`);
  const supersedes = [];
  for (const other of others) {
    const isOlder = other.config.name === config.name && other.state === 'CREATED' && other.config.attempt < config.attempt;
    if (isOlder || other.state === 'EXITED') supersedes.push(other);
    else throw oneVmOnly(other);
  }
  return { action: 'create', supersedes };
}

/** Decides about StartContainer once more, under the sandbox's lock. Throws WRONG_STATE with the reason. */
export function requireStartable(sandbox: Sandbox, others: readonly Container[], container: Container): void {
  requireReady(sandbox);
  if (container.state !== 'CREATED')
    throw wrongState(container, `container ${container.id} is ${container.state}, only a CREATED one can be started`);
  for (const other of others) {
    if (other.id === container.id || other.state === 'EXITED') continue;
    const superseded =
      other.config.name === container.config.name && other.state === 'CREATED' && other.config.attempt < container.config.attempt;
    if (!superseded) throw oneVmOnly(other);
  }
}

function requireReady(sandbox: Sandbox): void {
  if (sandbox.state === 'READY') return;
  const facts = { code: 'WRONG_STATE', kind: 'sandbox', id: sandbox.id, state: sandbox.state } as const;
  throw new VmletError(facts, `sandbox ${sandbox.id} is ${sandbox.state}, it must be READY`);
}

function oneVmOnly(other: Container): VmletError {
  return wrongState(
    other,
    `a sandbox holds one VM at a time, and container ${other.config.name} (attempt ${other.config.attempt}) is ${other.state}: ` +
      'put other containers into a pod of their own',
  );
}

function wrongState(container: Container, message: string): VmletError {
  return new VmletError({ code: 'WRONG_STATE', kind: 'container', id: container.id, state: container.state }, message);
}
