import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { removeAllPods, runPod, waitForState } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/tiny:1';
const port = '/dev/virtio-ports/dev.vmlet.exit.0';

describe('a guest that reports how it ends', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: [{ name: image, file: await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000)) }] });
  });
  afterAll(async () => node.stop());

  it('has its exit code and its termination message in the kubelet’s hands, also when the daemon was killed meanwhile', async () => {
    const running = await runPod(node.kubelet, vmPod({ name: 'job', image, memory: '256Mi' }));
    const [vm] = running.containers;
    if (!vm) throw new Error('the pod has no container');
    await untilLogged(vm.logPath, /tiny: boot finished/, 120_000);
    await node.killDaemon();

    // Nobody listens: the guest waits with its report until somebody does.
    const script = `echo '3 no database' >${port}; poweroff`;
    const command = { execute: 'guest-exec', arguments: { path: 'sh', arg: ['-c', script] } };
    const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
    const args = ['-c', uri, 'qemu-agent-command', domainNameOf(vm.id), JSON.stringify(command)];
    await waitFor(async () => runProgram('virsh', args, { signal: AbortSignal.timeout(20_000) }), { timeoutMs: 60_000, what: 'the agent' });
    await node.startDaemon();

    const status = await waitForState(node.kubelet, vm.id, 'EXITED', 60_000);
    expect(status).toMatchObject({ exitCode: 3, reason: 'Error', message: '' });
    const mount = status.mounts.find(({ containerPath }) => containerPath === '/dev/termination-log');
    expect(readFileSync(mount?.hostPath ?? '', 'utf8')).toBe('no database');
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
});
