import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { domainNameOf } from '../../src/model/container.ts';
import { parseDocumentedSteps, pointsOf } from '../fault/documented.ts';
import type { Death, FaultNode } from '../fault/fault-node.ts';
import { pointText } from '../fault/point.ts';
import { startFaultPool, type FaultPool } from '../fault/pool.ts';
import { containersOf, endPod, sandboxesOf, syncPod } from '../fault/sync.ts';
import { containerStatus, readLog, stateNumbers, type Pod } from '../kubelet/kubelet.ts';
import { digestOf } from '../lib/push-image.ts';
import { virsh } from '../lib/virsh.ts';
import { processesWith } from '../node/processes.ts';
import { bootImage, bootImagesAsQcow2, requireClean, untilLogged, vmPod } from './guests.ts';

const steps = parseDocumentedSteps(readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'recovery.md'), 'utf8'));
const deathsIn = (...calls: readonly string[]): readonly Death[] =>
  calls.flatMap((call) => pointsOf(steps.get(call) ?? []).map((point) => ({ call, point })));
const textOf = ({ call, point }: Death): string => `${call} ${pointText(point)}`;

const whileItBegins = deathsIn('RunPodSandbox', 'CreateContainer', 'StartContainer');
const whileItEnds = deathsIn('StopContainer', 'StopPodSandbox', 'RemoveContainer', 'RemovePodSandbox');

const reference = bootImage('tick');
const bootMs = 60_000;

describe('the daemon is killed before and after each step', () => {
  const boot = bootImagesAsQcow2('tick');
  const digest = digestOf(readFileSync(boot.files[0] ?? ''));
  let pool: FaultPool;
  beforeAll(async () => {
    // One request for a shutdown within the grace period, so that the steps are the same each time.
    pool = await startFaultPool(3, { images: boot.images, config: { vm: { shutdownRepeat: '60s' } } });
  });
  afterAll(async () => {
    await pool[Symbol.asyncDispose]();
    boot[Symbol.dispose]();
  });

  it('docs/recovery.md has the steps of an undisturbed life, each as often as it is run', async () => {
    const sorted = (map: ReadonlyMap<string, readonly string[]>): Record<string, readonly string[]> =>
      Object.fromEntries([...map].map(([call, names]) => [call, names.toSorted()]));
    await pool.use(async (fault) => {
      expect(sorted(await recordUndisturbed(fault))).toEqual(sorted(steps));
    });
  });

  const named = (deaths: readonly Death[]): (readonly [string, Death])[] => deaths.map((death) => [textOf(death), death]);

  it.concurrent.each(named(deathsIn('PullImage')))('%s: the image is there once, whole', async (_, death) =>
    pool.use(async (fault) => {
      const { image } = fault.kubelet.client;
      await image.removeImage({ image: { image: reference } });
      await fault.withDeath(death, async () => {
        if ((await image.imageStatus({ image: { image: reference } })).image) return;
        await image.pullImage({ image: { image: reference } });
      });
      expect(storedImages(fault)).toEqual(oneImage);
      expect((await image.listImages({})).images).toMatchObject([{ repoTags: [reference] }]);
      expect(await image.imageStatus({ image: { image: `boot.example/tick@${digest}` } })).toMatchObject({
        image: { repoTags: [reference] },
      });
    }),
  );

  it.concurrent.each(named(deathsIn('RemoveImage')))('%s: nothing of the image is left', async (_, death) =>
    pool.use(async (fault) => {
      const { image } = fault.kubelet.client;
      await image.pullImage({ image: { image: reference } });
      await fault.withDeath(death, async () => {
        for (const { id } of (await image.listImages({})).images) await image.removeImage({ image: { image: id } });
      });
      expect(storedImages(fault)).toEqual(noImage);
    }),
  );

  const lives = Array.from({ length: Math.max(whileItBegins.length, whileItEnds.length) }, (_, index) => {
    const begin = whileItBegins[index];
    const end = whileItEnds[index];
    return [[begin, end].flatMap((death) => (death ? textOf(death) : [])).join(', '), begin, end] as const;
  });

  it.concurrent.each(lives)('%s: one VM runs, once; then nothing is left', async (_, begin, end) =>
    pool.use(async (fault) => {
      const pod = vmPod({ name: 'fault', image: reference });
      await begun(fault, pod, begin);
      await ended(fault, pod, end);
      expect(await fault.node.leftovers()).toEqual([]);
    }),
  );
});

/** The steps of every call of an image's and a pod's life. */
async function recordUndisturbed(fault: FaultNode): Promise<ReadonlyMap<string, readonly string[]>> {
  const { image } = fault.kubelet.client;
  const pod = vmPod({ name: 'undisturbed', image: reference });
  await image.pullImage({ image: { image: reference } });
  await begun(fault, pod, undefined);
  await ended(fault, pod, undefined, 1);
  await requireClean(fault.node);
  await image.removeImage({ image: { image: reference } });
  return fault.recorded();
}

/** Brings the pod to RUNNING, past a death, and checks that there is one VM: the one that ran when the daemon died, if one did. */
async function begun(fault: FaultNode, pod: Pod, death: Death | undefined): Promise<void> {
  const { kubelet, node } = fault;
  let before: readonly SeenVm[] = [];
  const sync = async (): Promise<Awaited<ReturnType<typeof syncPod>>> => syncPod(kubelet, pod);
  const whileDead = async (): Promise<void> => void (before = await guestsThatRun(fault));
  const { vm, sandboxId } = await (death ? fault.withDeath({ ...death, whileDead }, sync) : sync());

  expect(await sandboxesOf(kubelet, pod)).toMatchObject([{ id: sandboxId, state: 0 }]);
  expect(await containersOf(kubelet, pod)).toMatchObject([{ id: vm.id, state: stateNumbers.RUNNING }]);
  const [after, ...others] = await guestsThatRun(fault);
  expect(others).toEqual([]);
  expect(after?.domain).toBe(domainNameOf(vm.id));
  for (const { pid, startedAtNs } of before) {
    expect(after?.pid).toBe(pid);
    const { startedAt } = await containerStatus(kubelet, vm.id);
    expect(startedAtNs ?? startedAt).toBe(startedAt);
  }
  const seen = before.length > 0 ? 2 : 1; // what the guest says after the restart is logged too
  await untilLogged(vm.logPath, new RegExp(`tick ${seen}$`), bootMs);
  expect(await node.leftovers()).not.toEqual([]);
}

/** Ends and removes the pod, past a death; its VM's end is on record and its log has no gap. */
async function ended(
  fault: FaultNode,
  pod: Pod,
  death: Death | undefined,
  graceSeconds = death?.call === 'StopContainer' ? 1 : 0,
): Promise<void> {
  const { kubelet } = fault;
  const [vm] = await containersOf(kubelet, pod);
  const { logPath } = await containerStatus(kubelet, vm?.id ?? '');
  const end = async (): Promise<void> => {
    for (const status of await endPod(kubelet, pod, graceSeconds)) {
      expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137, reason: 'Error' });
      expect(status.finishedAt).toBeGreaterThanOrEqual(status.startedAt);
    }
  };
  await (death ? fault.withDeath(death, end) : end());
  expect(await sandboxesOf(kubelet, pod)).toEqual([]);
  expect(await containersOf(kubelet, pod)).toEqual([]);
  const ticks = (await readLog(logPath)).flatMap((line) => /tick (\d+)$/.exec(line)?.[1] ?? []).map(Number);
  expect(ticks).toEqual(ticks.map((_, index) => index + 1));
  expect(ticks.length).toBeGreaterThan(0);
}

interface SeenVm {
  readonly domain: string;
  readonly pid: number;
  /** As recorded, if it is. */
  readonly startedAtNs: bigint | undefined;
}

/** VMs of the node whose guest runs (is not paused), past the daemon. */
async function guestsThatRun({ node }: FaultNode): Promise<SeenVm[]> {
  const [socket] = globSync(join(node.runtimeDir, 'libvirt', '**', 'libvirt-sock'));
  const names = await virsh(`qemu+unix:///system?socket=${socket}`, 'list', '--name', '--state-running');
  return names.split('\n').flatMap((domain) => {
    const [qemu] = processesWith([`guest=${domain},`]);
    if (domain === '' || !qemu) return [];
    const [file] = globSync(join(node.stateDir, 'records', 'containers', `${domain.slice('vmlet-'.length)}*.json`));
    const startedAt = /"startedAtNs":"(\d+)"/.exec(file === undefined ? '' : readFileSync(file, 'utf8'))?.[1];
    return [{ domain, pid: qemu.pid, startedAtNs: startedAt === undefined ? undefined : BigInt(startedAt) }];
  });
}

const oneImage = { blobs: 1, ingest: 0, 'records/images': 1, 'records/names': 2 } as const;
const noImage = { blobs: 0, ingest: 0, 'records/images': 0, 'records/names': 0 } as const;

/** How many files each directory of the image store has. */
function storedImages({ node }: FaultNode): Record<string, number> {
  const count = (dir: string): number => globSync(join(node.stateDir, 'images', dir, '*')).length;
  return Object.fromEntries(Object.keys(oneImage).map((dir) => [dir, count(dir)]));
}
