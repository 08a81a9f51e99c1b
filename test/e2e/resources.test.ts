import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { domainNameOf } from '../../src/model/container.ts';
import { containerStatus, removeAllPods, runPod, type RunningContainer } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { processesWith } from '../node/processes.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

describe('what a VM may use', () => {
  const boot = bootImages('halt');
  let node: TestNode;
  let vm: RunningContainer;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
    const resources = { limits: { cpu: '1500m', memory: '160Mi' }, requests: { cpu: '500m', memory: '128Mi' } };
    const spec = { containers: [{ name: 'vm', image: bootImage('halt'), resources }] };
    const [container] = (await runPod(node.kubelet, vmPod({ image: bootImage('halt'), spec }))).containers;
    if (!container) throw new Error('the pod has no container');
    vm = container;
    await untilLogged(vm.logPath, /halt/, 60_000);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  /** What stands in a file of the VM's leaf, or of the group `vcpu` below it, in the hierarchy that has it. */
  function inLeaf(file: string): string {
    const [path] = globSync(join('/sys/fs/cgroup/**', `*${vm.id}*`, file));
    if (path === undefined) throw new Error(`no ${file} in the leaf of ${vm.id}`);
    return readFileSync(path, 'utf8').trim();
  }

  const qemuPid = (): number => {
    const [found] = processesWith([`guest=${domainNameOf(vm.id)},`]);
    if (!found) throw new Error('QEMU does not run');
    return found.pid;
  };

  it('is set when it starts: quota on the vCPUs, memory, OOM score; the DHCP server is in the same leaf', () => {
    expect(quota()).toBe('150000 100000');
    expect(Number(inLeaf(isV1() ? 'memory.limit_in_bytes' : 'memory.max'))).toBe(160 * 2 ** 20);
    expect(Number(readFileSync(`/proc/${qemuPid()}/oom_score_adj`, 'utf8'))).toBeGreaterThan(900); // a burstable pod's
    const members = inLeaf('cgroup.procs').split('\n').map(Number);
    const dhcp = processesWith([`${node.runtimeDir}/network/`]).map(({ pid }) => pid);
    expect(members).toEqual(expect.arrayContaining([qemuPid(), ...dhcp]));
    expect(dhcp).toHaveLength(1);
  });

  it('changes at once by UpdateContainerResources, is echoed, and outlives the daemon', async () => {
    const { runtime } = node.kubelet.client;
    await runtime.updateContainerResources({ containerId: vm.id, linux: { cpuQuota: 50_000n, cpuShares: 100n, cpusetCpus: '0' } });
    expect(quota()).toBe('50000 100000');
    expect(inLeaf('cpuset.cpus')).toBe('0');
    await node.killDaemon();
    await node.startDaemon();
    const { resources } = await containerStatus(node.kubelet, vm.id);
    expect(resources?.linux).toMatchObject({ cpuQuota: 50_000n, cpuShares: 100n, cpusetCpus: '0', memoryLimitInBytes: 160n * 2n ** 20n });
  });

  it('is refused, and stays as it was, where the VM is fixed or the kernel says no', async () => {
    const { runtime } = node.kubelet.client;
    const update = async (linux: object): Promise<unknown> => runtime.updateContainerResources({ containerId: vm.id, linux });
    expect(await failureOf(update({ memoryLimitInBytes: 2n ** 30n }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/limits\.memory.*RestartContainer/),
    });
    expect(await failureOf(update({ cpuQuota: 400_000n }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/limits\.cpu.*RestartContainer/),
    });
    expect(await failureOf(update({ cpusetCpus: '4095' }))).toEqual({
      code: 'INVALID_ARGUMENT',
      message: 'resources: the kernel refuses "4095" for cpuset.cpus',
    });
    expect([quota(), inLeaf('cpuset.cpus')]).toEqual(['50000 100000', '0']);
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });

  function isV1(): boolean {
    return globSync(join('/sys/fs/cgroup/**', `*${vm.id}*`, 'memory.limit_in_bytes')).length > 0;
  }

  function quota(): string {
    return isV1() ? `${inLeaf('vcpu/cpu.cfs_quota_us')} ${inLeaf('vcpu/cpu.cfs_period_us')}` : inLeaf('vcpu/cpu.max');
  }
});
