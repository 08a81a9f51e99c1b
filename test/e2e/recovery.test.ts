import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { containerStatus, deletePod, readLog, removeAllPods, runPod, stateNumbers, waitForState } from '../kubelet/kubelet.ts';
import type { RunningContainer, RunningPod } from '../kubelet/kubelet.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../lib/libvirtd.ts';
import { virsh } from '../lib/virsh.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const bootMs = 60_000;

describe('what outlives the daemon and libvirtd', () => {
  const boot = bootImages('acpi', 'halt', 'off', 'tick');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
  });
  afterEach(async () => {
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  const start = async (kind: Parameters<typeof bootImage>[0]): Promise<{ running: RunningPod; vm: RunningContainer }> => {
    const running = await runPod(node.kubelet, vmPod({ image: bootImage(kind) }));
    const [vm] = running.containers;
    if (!vm) throw new Error('the pod has no container');
    return { running, vm };
  };

  it('kill -9: the VM runs on, times and id stay, its log goes on without a line lost or doubled', async () => {
    const { running, vm } = await start('tick');
    const before = await containerStatus(node.kubelet, vm.id);
    await untilLogged(vm.logPath, /tick 3$/, bootMs);
    await node.killDaemon();
    const seen = ticksOf(await readLog(vm.logPath)).at(-1) ?? 0;
    const missed = seen + 3;
    await waitFor(() => consoleOf(node).includes(`tick ${missed}\r\n`), { timeoutMs: bootMs, what: 'ticks without a daemon' });

    await node.startDaemon();
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({
      state: stateNumbers.RUNNING,
      startedAt: before.startedAt,
      createdAt: before.createdAt,
      imageId: before.imageId,
    });
    const { containers } = await node.kubelet.client.runtime.listContainers({});
    expect(containers.map(({ id }) => id)).toEqual([vm.id]);
    await untilLogged(vm.logPath, new RegExp(`tick ${missed + 3}$`), bootMs);
    const ticks = ticksOf(await readLog(vm.logPath));
    expect(ticks).toEqual(ticks.map((_, index) => index + 1));
    expect(await node.kubelet.client.runtime.podSandboxStatus({ podSandboxId: running.sandboxId })).toMatchObject({
      status: { state: 0, network: { ip: running.ips[0] } },
    });
    await deletePod(node.kubelet, running, { graceSeconds: 2 });
    await requireClean(node);
  });

  it('a VM that ends while the daemon is away is EXITED, with its exit code, when it is back', async () => {
    const { vm } = await start('acpi');
    await untilLogged(vm.logPath, /vmlet-boot: acpi/, bootMs);
    await node.killDaemon();
    await powerOff(node, vm.id);
    await node.startDaemon();
    expect(await waitForState(node.kubelet, vm.id, 'EXITED', bootMs)).toMatchObject({ exitCode: 0, reason: 'Completed' });
  });

  it('SIGTERM ends the daemon with 0, the VM runs on and is stopped by the next one', async () => {
    const { running, vm } = await start('acpi');
    await untilLogged(vm.logPath, /vmlet-boot: acpi/, bootMs);
    expect(await node.stopDaemon()).toBe('exit code 0');
    await node.startDaemon();
    const [status] = await deletePod(node.kubelet, running, { graceSeconds: 60 });
    expect(status).toMatchObject({ exitCode: 0, reason: 'Completed' });
    await requireClean(node);
  });

  it('a killed libvirtd is started again; its VMs are still ours', async () => {
    const { running, vm } = await start('halt');
    const before = node.libvirtdPid();
    process.kill(before, 'SIGKILL');
    const after = await waitFor(() => node.libvirtdPid() !== before && node.libvirtdPid(), { timeoutMs: 60_000, what: 'another libvirtd' });
    expect(after).not.toBe(before);
    await waitFor(
      async () => {
        const { status } = await node.kubelet.client.runtime.status({});
        return status?.conditions.every((condition) => condition.status);
      },
      { timeoutMs: 60_000, what: 'RuntimeReady' },
    );
    expect(await containerStatus(node.kubelet, vm.id)).toMatchObject({ state: stateNumbers.RUNNING });
    const [status] = await deletePod(node.kubelet, running, { graceSeconds: 2 });
    expect(status).toMatchObject({ exitCode: 137 });
    await requireClean(node);
  });
});

describe('a libvirtd that somebody else runs', () => {
  const boot = bootImages('halt');
  let libvirtd: PrivateLibvirtd;
  let node: TestNode;
  beforeAll(async () => {
    libvirtd = await startLibvirtd();
    node = await startNode({ images: boot.images, config: { libvirt: { socket: libvirtd.socketPath, runDir: libvirtd.runDir } } });
  });
  afterAll(async () => {
    await node.stop();
    await libvirtd.stop();
    boot[Symbol.dispose]();
  });

  it('away: Status says so, calls answer UNAVAILABLE, all heals when it is back', async () => {
    const running = await runPod(node.kubelet, vmPod({ image: bootImage('halt') }));
    const id = running.containers[0]?.id ?? '';
    const { runtime } = node.kubelet.client;
    const runtimeReady = async (): Promise<{ status: boolean; message: string }> => {
      const { status } = await runtime.status({});
      const ready = status?.conditions.find(({ type }) => type === 'RuntimeReady');
      if (!ready) throw new Error('no RuntimeReady');
      return ready;
    };
    await libvirtd.kill9();
    const away = await waitFor(
      async () => {
        const condition = await runtimeReady();
        return !condition.status && condition;
      },
      { timeoutMs: 60_000, what: 'RuntimeReady=false' },
    );
    expect(away.message).toMatch(/libvirt/);
    const failure = await failureOf(runtime.stopContainer({ containerId: id, timeout: 0n }, { timeoutMs: 60_000 }));
    expect(failure).toMatchObject({ code: 'UNAVAILABLE' });
    expect(failure.message).toMatch(/libvirt/);

    await libvirtd.restart();
    await waitFor(async () => (await runtimeReady()).status, { timeoutMs: 60_000, what: 'RuntimeReady again' });
    expect(await containerStatus(node.kubelet, id)).toMatchObject({ state: stateNumbers.RUNNING });
    const [status] = await deletePod(node.kubelet, running, { graceSeconds: 2 });
    expect(status).toMatchObject({ exitCode: 137 });
    await requireClean(node);
  });
});

/** Presses a guest's power button until it is off, past the daemon. */
async function powerOff(node: TestNode, containerId: string): Promise<void> {
  const [socket] = globSync(join(node.runtimeDir, 'libvirt', '**', 'libvirt-sock'));
  const uri = `qemu+unix:///system?socket=${socket}`;
  const name = domainNameOf(containerId);
  const isOff = async (): Promise<boolean> => {
    if ((await virsh(uri, 'domstate', name)) === 'shut off') return true;
    await virsh(uri, 'shutdown', name);
    return false;
  };
  await waitFor(isOff, { timeoutMs: bootMs, what: `end of ${name}` });
}

function ticksOf(lines: readonly string[]): number[] {
  return lines.flatMap((line) => /tick (\d+)$/.exec(line)?.[1] ?? []).map(Number);
}

/** What the one VM has written to its serial port, as far as it has not been freed yet. */
function consoleOf(node: TestNode): string {
  return globSync(join(node.stateDir, 'vms', '*', 'console.log'))
    .map((file) => readFileSync(file, 'latin1'))
    .join('');
}
