import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseDocumentedSteps, pointsOf } from '../fault/documented.ts';
import { startFaultNode, type FaultNode } from '../fault/fault-node.ts';
import { containersOf, endPod, sandboxesOf, syncPod } from '../fault/sync.ts';
import { containerStatus, removeAllPods, stateNumbers } from '../kubelet/kubelet.ts';
import { processesWith } from '../node/processes.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, vmPod } from './guests.ts';

const steps = parseDocumentedSteps(readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'recovery.md'), 'utf8'));

/** Every step of a call in whose place a full disk can be met; programs fail in their rooms' own tests. */
function failuresOf(call: string): (readonly [string, { readonly call: string; readonly point: ReturnType<typeof pointsOf>[number] }])[] {
  return pointsOf(steps.get(call) ?? [])
    .filter(({ when, step }) => when === 'before' && !step.startsWith('program.'))
    .map((point) => [`${point.step} ${point.run}`, { call, point: { ...point, when: 'instead' } }]);
}

describe('a full disk in place of a step', () => {
  const boot = bootImages('halt');
  let fault: FaultNode;
  const pod = vmPod({ name: 'full', image: bootImage('halt') });
  beforeAll(async () => {
    fault = await startFaultNode({ images: boot.images });
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${task.name}\n${fault.node.logTail(30)}\n`);
    await removeAllPods(fault.node.kubelet);
  });
  afterAll(async () => {
    await fault[Symbol.asyncDispose]();
    boot[Symbol.dispose]();
  });

  /** The code that the kubelet saw: records tell that the disk is full, other rooms' own tests tell what they say of it. */
  const failsAt = async (failure: Parameters<FaultNode['withFailure']>[0]): Promise<void> => {
    const error = await fault.withFailure(failure, async () => syncPod(fault.kubelet, pod));
    const { code } = await failureOf(Promise.reject(error));
    expect(failure.point.step.startsWith('records.') ? code : 'RESOURCE_EXHAUSTED').toBe('RESOURCE_EXHAUSTED');
  };

  /** It goes once there is room. */
  const goesOn = async (): Promise<void> => {
    const { vm } = await syncPod(fault.kubelet, pod);
    expect(await containersOf(fault.kubelet, pod)).toMatchObject([{ id: vm.id, state: stateNumbers.RUNNING }]);
    await endPod(fault.kubelet, pod);
  };

  it.each(failuresOf('RunPodSandbox'))('RunPodSandbox, %s: fails, and nothing is left', async (_, failure) => {
    await failsAt(failure);
    expect(await sandboxesOf(fault.kubelet, pod)).toEqual([]);
    expect(await fault.node.leftovers()).toEqual([]);
    await goesOn();
    expect(await fault.node.leftovers()).toEqual([]);
  });

  it.each(failuresOf('CreateContainer'))('CreateContainer, %s: fails, and nothing of the container is left', async (_, failure) => {
    await failsAt(failure);
    expect(await sandboxesOf(fault.kubelet, pod)).toMatchObject([{ state: 0 }]);
    expect(await containersOf(fault.kubelet, pod)).toEqual([]);
    expect(globSync(join(fault.node.stateDir, '{vms,records/containers}', '*'))).toEqual([]);
    await goesOn();
    expect(await fault.node.leftovers()).toEqual([]);
  });

  it.each(failuresOf('StartContainer'))('StartContainer, %s: the container is EXITED, no VM is left', async (_, failure) => {
    await failsAt(failure);
    const [dead] = await containersOf(fault.kubelet, pod);
    const status = await containerStatus(fault.kubelet, dead?.id ?? '');
    expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 128, reason: 'StartError' });
    expect(processesWith([`${fault.node.dir}/`]).filter(({ command }) => command.includes('qemu-system'))).toEqual([]);
    await goesOn();
    expect(await fault.node.leftovers()).toEqual([]);
  });
});
