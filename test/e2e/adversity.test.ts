import { globSync, readFileSync, statfsSync, truncateSync, writeFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/lib/run-program.ts';
import { containersOf, endPod, sandboxesOf, syncPod } from '../fault/sync.ts';
import { containerStatus, readLog, removeAllPods, removeCgroupTree, stateNumbers, type Kubelet } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { startDaemonProcess } from '../node/daemon-process.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { leasedAddresses } from '../node/pod-network.ts';
import { endProcesses, isLibvirtDaemon, processesWith } from '../node/processes.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const program = join(import.meta.dirname, '..', 'fault', 'daemon.ts');
const bootMs = 60_000;
const signal = (): AbortSignal => AbortSignal.timeout(60_000);

describe('what happens to a node while its daemon is away', () => {
  const boot = bootImages('tick');
  const env: Record<string, string> = {};
  const pod = vmPod({ name: 'adversity', image: bootImage('tick') });
  let node: TestNode;
  let kubelet: Kubelet;
  beforeAll(async () => {
    node = await startNode({ images: boot.images, daemon: { program, env: () => env } });
    ({ kubelet } = node);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${task.name}\n${node.logTail()}\n`);
    for (const name of Object.keys(env)) delete env[name];
    if (!node.daemonRuns()) await node.startDaemon();
    await removeAllPods(kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  it('QEMU is killed: its end is on record when the daemon is back, and its log is whole', async () => {
    const { vm } = await syncPod(kubelet, pod);
    await untilLogged(vm.logPath, /tick 1$/, bootMs);
    await node.killDaemon();
    await killVms(node);
    await node.startDaemon();
    const status = await containerStatus(kubelet, vm.id);
    expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137, reason: 'Error' });
    expect(status.message).toMatch(/QEMU ended unexpectedly/);
    expect(status.finishedAt).toBeGreaterThan(status.startedAt);
    const ticks = (await readLog(vm.logPath)).flatMap((line) => /tick (\d+)$/.exec(line)?.[1] ?? []).map(Number);
    expect(ticks).toEqual(ticks.map((_, index) => index + 1));
    const next = await syncPod(kubelet, pod);
    expect(next.vm).toMatchObject({ attempt: 1 });
    expect(next.sandboxId).toBe((await sandboxesOf(kubelet, pod))[0]?.id);
  });

  it('the node is rebooted: nothing runs, nothing is forgotten, and the pod’s address is given back', async () => {
    const { vm, sandboxId } = await syncPod(kubelet, pod);
    await untilLogged(vm.logPath, /tick 1$/, bootMs);
    await reboot(node);
    env['FAULT_BOOT_ID'] = '11111111-2222-4333-8444-555555555555';
    await node.startDaemon();
    expect(await sandboxesOf(kubelet, pod)).toMatchObject([{ id: sandboxId, state: 1 }]);
    expect(await containerStatus(kubelet, vm.id)).toMatchObject({
      state: stateNumbers.EXITED,
      exitCode: 255,
      reason: 'Unknown',
      message: 'node rebooted',
    });
    expect(globSync(join(node.stateDir, 'vms', '*', 'root.qcow2'))).toHaveLength(1);
    expect(await leasedAddresses(node.network)).toHaveLength(1);
    await kubelet.client.runtime.stopPodSandbox({ podSandboxId: sandboxId });
    expect(await leasedAddresses(node.network)).toEqual([]);
    const next = await syncPod(kubelet, pod);
    expect([next.sandboxAttempt, next.sandboxId === sandboxId]).toEqual([1, false]);
    await untilLogged(next.vm.logPath, /tick 1$/, bootMs);
  });

  const cutOff = (file: string): void => truncateSync(file, 40);
  const newer = (file: string): void => writeFileSync(file, readFileSync(file, 'utf8').replace(/"schema":\d+/, '"schema":999'));
  it.each([
    ['the sandbox’s record is cut off', cutOff, ['sandboxes']],
    ['the container’s record is cut off', cutOff, ['containers']],
    ['both records have a newer schema', newer, ['sandboxes', 'containers']],
  ] as const)('%s: the kubelet sees the pod, stops it, and makes the next attempt', async (_, damage, kinds) => {
    const { vm, sandboxId } = await syncPod(kubelet, pod);
    await untilLogged(vm.logPath, /tick 1$/, bootMs);
    const [pid] = vmPids(node);
    await node.killDaemon();
    for (const kind of kinds) for (const file of globSync(join(node.stateDir, 'records', kind, '*.json'))) damage(file);
    await node.startDaemon();
    const lost = new Set<string>(kinds);
    expect(await sandboxesOf(kubelet, pod)).toMatchObject([{ id: sandboxId, state: lost.has('sandboxes') ? 1 : 0 }]);
    expect(await containersOf(kubelet, pod)).toMatchObject([
      { id: vm.id, state: lost.has('containers') ? stateNumbers.UNKNOWN : stateNumbers.RUNNING },
    ]);
    expect(vmPids(node)).toEqual([pid]);
    await kubelet.client.image.removeImage({ image: { image: bootImage('tick') } }).catch(() => undefined);
    expect((await kubelet.client.image.listImages({})).images).toHaveLength(1); // the base of a disk in use

    const next = await syncPod(kubelet, pod);
    expect([next.sandboxAttempt, next.vm.attempt]).toEqual([lost.has('sandboxes') ? 1 : 0, 1]);
    expect(await containersOf(kubelet, pod)).toMatchObject([{ id: next.vm.id, state: stateNumbers.RUNNING }]);
    expect(vmPids(node)).toHaveLength(1);
    await endPod(kubelet, pod);
  });

  it('the clock is set back: what is made later is still newer', async () => {
    const { vm, sandboxId } = await syncPod(kubelet, pod);
    const before = await containerStatus(kubelet, vm.id);
    await node.killDaemon();
    await killVms(node);
    env['FAULT_CLOCK_BACK_MS'] = '3600000';
    await node.startDaemon();
    await kubelet.client.runtime.stopPodSandbox({ podSandboxId: sandboxId });
    const [old] = await sandboxesOf(kubelet, pod);
    const next = await syncPod(kubelet, pod);
    const [sandbox] = await sandboxesOf(kubelet, pod);
    expect(sandbox?.id).toBe(next.sandboxId);
    expect(sandbox?.createdAt).toBeGreaterThan(old?.createdAt ?? 0n);
    const after = await containerStatus(kubelet, next.vm.id);
    expect(after.createdAt).toBeGreaterThan(before.createdAt);
    expect(after.startedAt).toBeGreaterThan(after.createdAt);
    for (const { startedAt, finishedAt } of await endPod(kubelet, pod)) expect(finishedAt).toBeGreaterThanOrEqual(startedAt);
  });

  it('a second daemon on the same state directory refuses to start, and does not disturb the first', async () => {
    const logFile = join(node.dir, 'second.log');
    const second = await startDaemonProcess({ configFile: node.configFile, configDir: join(node.dir, 'conf.d'), logFile });
    expect(await second.ended).toBe('exit code 1');
    expect(readFileSync(logFile, 'utf8')).toContain(`another vmlet (pid ${node.daemonPid()}) uses the state directory ${node.stateDir}`);
    await syncPod(kubelet, pod);
    await node.killDaemon();
    await node.startDaemon(); // a killed one's lock does not keep its successor out
    await endPod(kubelet, pod);
  });
});

describe('a state directory that cannot be written', () => {
  const boot = bootImages('halt');
  const pod = vmPod({ name: 'full', image: bootImage('halt') });
  let node: TestNode;
  let kubelet: Kubelet;
  let fill: string;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
    ({ kubelet } = node);
    // Its records on a file system of their own: libvirtd and QEMU have theirs, as after a disk has filled up with something else.
    await node.stopDaemon();
    const records = join(node.stateDir, 'records');
    await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', records], { signal: signal() });
    fill = join(records, 'fill');
    await node.startDaemon();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${task.name}\n${node.logTail()}\n`);
    await removeAllPods(kubelet);
    const left = await podsLeft();
    if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  /** What is left behind, but for the file system that this test has mounted. */
  const podsLeft = async (): Promise<string[]> => (await node.leftovers()).filter((line) => !line.startsWith('mount tmpfs '));

  const occupied: Readonly<Record<string, { readonly take: () => Promise<void>; readonly giveBack: () => Promise<void> }>> = {
    full: {
      take: async () => {
        const { bavail, bsize } = statfsSync(join(node.stateDir, 'records'));
        writeFileSync(fill, Buffer.alloc(bavail * bsize));
      },
      giveBack: async () => rmSync(fill),
    },
    'read-only': {
      take: async () => remount(node, 'ro'),
      giveBack: async () => remount(node, 'rw'),
    },
  };

  it.each(Object.entries(occupied))(
    '%s: calls answer RESOURCE_EXHAUSTED, nothing is half made, and all goes on afterwards',
    async (_, disk) => {
      const { runtime } = kubelet.client;
      const fails = async (call: () => Promise<unknown>): Promise<void> => {
        await disk.take();
        try {
          expect(await failureOf(call())).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
        } finally {
          await disk.giveBack();
        }
      };
      await fails(async () => syncPod(kubelet, pod));
      expect(await sandboxesOf(kubelet, pod)).toEqual([]);
      expect(await podsLeft()).toEqual([]);

      const { vm, sandboxId } = await syncPod(kubelet, pod);
      await untilLogged(vm.logPath, /halt/, bootMs);
      await fails(async () => runtime.stopContainer({ containerId: vm.id, timeout: 0n }));
      await runtime.stopContainer({ containerId: vm.id, timeout: 0n });
      expect(await containerStatus(kubelet, vm.id)).toMatchObject({ state: stateNumbers.EXITED, exitCode: 137 });
      await fails(async () => syncPod(kubelet, pod)); // the next attempt of the container
      expect(await containersOf(kubelet, pod)).toMatchObject([{ id: vm.id }]);
      await fails(async () => runtime.stopPodSandbox({ podSandboxId: sandboxId }));
      expect(await sandboxesOf(kubelet, pod)).toMatchObject([{ id: sandboxId, state: 0 }]);
      await endPod(kubelet, pod);
      expect(await sandboxesOf(kubelet, pod)).toEqual([]);
    },
  );
});

function vmPids(node: TestNode): number[] {
  return processesWith([`${node.dir}/`])
    .filter(({ command }) => command.includes('qemu-system'))
    .map(({ pid }) => pid);
}

/** SIGKILL, as the kernel does it. */
async function killVms(node: TestNode): Promise<void> {
  for (const pid of vmPids(node)) process.kill(pid, 'SIGKILL');
  await waitFor(() => vmPids(node).length === 0, { timeoutMs: bootMs, what: 'end of QEMU' });
}

/** What a reboot does: every process, namespace, link, packet filter rule and control group of the node's pods is gone, and so is the runtime directory. */
async function reboot(node: TestNode): Promise<void> {
  await node.killDaemon();
  await killVms(node);
  const libvirtd = node.libvirtdPid();
  process.kill(libvirtd, 'SIGKILL');
  await waitFor(() => !processesWith([`${node.dir}/`]).some(({ command }) => isLibvirtDaemon(command)), {
    timeoutMs: bootMs,
    what: 'end of libvirtd',
  });
  await endProcesses(processesWith([`${node.dir}/`]).filter(({ command }) => command.includes('dnsmasq')));
  for (const file of globSync(join(node.stateDir, 'records', 'sandboxes', '*.json'))) {
    await runProgram('ip', ['netns', 'delete', `vmlet-${basename(file).slice(0, 12)}`], { signal: signal() });
  }
  for (const flag of ['-F', '-X']) {
    await runProgram('nsenter', [`--net=${node.network.netnsPath}`, 'iptables', '-w', '-t', 'nat', flag], { signal: signal() });
  }
  rmSync(node.runtimeDir, { recursive: true });
  await removeCgroupTree(`/${basename(node.dir)}`);
}

async function remount(node: TestNode, how: 'ro' | 'rw'): Promise<void> {
  await runProgram('mount', ['-o', `remount,${how}`, join(node.stateDir, 'records')], { signal: signal() });
}
