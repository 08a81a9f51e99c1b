import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { containerStatus, readLog, removeAllPods, runPod, stateNumbers, waitForState, type RunningContainer } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/tiny:1';
const port = '/dev/virtio-ports/dev.vmlet.exit.0';
const bootMs = 240_000;

describe('a guest with an operating system', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: [{ name: image, file: await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000)) }] });
  });
  afterEach(async () => {
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => node.stop());

  async function boot(name: string): Promise<RunningContainer> {
    const [vm] = (await runPod(node.kubelet, vmPod({ name, image, memory: '256Mi' }))).containers;
    if (!vm) throw new Error('the pod has no container');
    await untilLogged(vm.logPath, /tiny: boot finished/, bootMs);
    return vm;
  }

  /** Has the guest's agent run a shell script, as soon as it answers. */
  async function inGuest({ id }: RunningContainer, script: string): Promise<void> {
    const command = { execute: 'guest-exec', arguments: { path: 'sh', arg: ['-c', script] } };
    const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
    const args = ['-c', uri, 'qemu-agent-command', domainNameOf(id), JSON.stringify(command)];
    const signal = AbortSignal.timeout(60_000);
    await waitFor(async () => runProgram('virsh', args, { signal, timeoutMs: 20_000 }), { timeoutMs: 60_000, what: 'the agent' });
  }

  it('reports exit code and termination message, also when the daemon was killed meanwhile', async () => {
    const vm = await boot('job');
    await node.killDaemon();
    // Nobody listens: the guest waits with its report until somebody does.
    await inGuest(vm, `echo '3 no database' >${port}; poweroff`);
    await node.startDaemon();

    const status = await waitForState(node.kubelet, vm.id, 'EXITED', 60_000);
    expect(status).toMatchObject({ exitCode: 3, reason: 'Error', message: '' });
    const mount = status.mounts.find(({ containerPath }) => containerPath === '/dev/termination-log');
    expect(readFileSync(mount?.hostPath ?? '', 'utf8')).toBe('no database');
  });

  it('stays RUNNING when it reboots itself', async () => {
    const vm = await boot('reboot');
    const before = await containerStatus(node.kubelet, vm.id);
    await inGuest(vm, 'reboot');
    const bootsIn = (lines: readonly string[]): number => lines.filter((line) => line.includes('tiny: boot finished')).length;
    await waitFor(async () => bootsIn(await readLog(vm.logPath)) === 2, { timeoutMs: bootMs, what: 'the second boot' });
    const after = await containerStatus(node.kubelet, vm.id);
    expect(after).toMatchObject({ state: stateNumbers.RUNNING, startedAt: before.startedAt, id: vm.id });
  });

  it('is OOMKilled when it needs more memory than its cgroup has', async () => {
    const vm = await boot('hungry');
    for (const { file, usage } of memoryFiles(vm.id)) writeFileSync(file, String(Number(readFileSync(usage, 'utf8')) + 8 * 2 ** 20));
    await inGuest(vm, 'dd if=/dev/zero of=/tmp/fill bs=1M count=90');
    const status = await waitForState(node.kubelet, vm.id, 'EXITED', 60_000);
    expect(status).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
  });
});

/** The limit and the usage of a VM's leaf, in whichever hierarchy has them. */
function memoryFiles(containerId: string): readonly { readonly file: string; readonly usage: string }[] {
  const found = [
    { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', root: '/sys/fs/cgroup/memory' },
    { limit: 'memory.max', usage: 'memory.current', root: '/sys/fs/cgroup' },
  ].flatMap(({ limit, usage, root }) =>
    globSync(join(root, `**/*${containerId}*`, limit)).map((file) => ({ file, usage: join(file, '..', usage) })),
  );
  if (found.length === 0) throw new Error(`no memory cgroup of ${containerId}`);
  return found;
}
