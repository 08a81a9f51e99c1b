import { describe, expect, it } from 'vitest';
import type { ObservedVm } from '../../../src/hypervisor/hypervisor.ts';
import type { ContainerState } from '../../../src/model/container.ts';
import type { LinuxResources } from '../../../src/model/sandbox.ts';
import { planCreate, requireStartable } from '../../../src/pods/admission.ts';
import { parseAnnotations } from '../../../src/pods/annotations.ts';
import { exitOf, startFailed, type EndFacts } from '../../../src/pods/exit.ts';
import { criLogPath, vmPaths } from '../../../src/pods/layout.ts';
import { planRecovery, strayVms } from '../../../src/pods/recovery-plan.ts';
import { sizeVm } from '../../../src/pods/sizing.ts';
import { containerOf, resourcesOf, sandboxOf } from './samples.ts';

const mib = 2 ** 20;

describe('annotations', () => {
  it('of others are left alone, ours are read under both names', () => {
    expect(parseAnnotations({ 'kubernetes.io/x': 'y', 'vmlet.dev/vcpus': '2', VirtletRootVolumeSize: '10Gi' })).toEqual({
      vcpus: 2,
      rootDiskSizeBytes: 10 * 2 ** 30,
    });
  });

  it.each([
    [{ 'vmlet.dev/vcpu': '2' }, /annotation vmlet.dev\/vcpu: is unknown; known are vmlet.dev\/vcpus, vmlet.dev\/root-disk-size/],
    [{ VirtletDiskDriver: 'scsi' }, /annotation VirtletDiskDriver: is unknown/],
    [{ 'vmlet.dev/vcpus': '0' }, /whole number of vCPUs from 1/],
    [{ 'vmlet.dev/vcpus': '1.5' }, /whole number/],
    [{ 'vmlet.dev/root-disk-size': 'big' }, /must be bytes, for example 10Gi/],
    [{ 'vmlet.dev/vcpus': '1', VirtletVCPUCount: '2' }, /says the same as annotation vmlet.dev\/vcpus/],
  ])('refuse %j', (map, message) => {
    expect(() => parseAnnotations(map)).toThrow(message);
  });
});

describe('sizing', () => {
  const overheadBytes = (vcpus: number): number => (64 + 32 * vcpus) * mib;
  const options = { defaultCpus: 1, maxCpus: 8, defaultMemoryBytes: 512 * mib, minMemoryBytes: 16 * mib, overheadBytes };
  const limited = (memoryMiB: number, cpus = 1): LinuxResources =>
    resourcesOf({ memoryLimitBytes: memoryMiB * mib, cpuQuotaUs: cpus * 100_000 });
  const granted = (memoryMiB: number): LinuxResources => resourcesOf({ memoryLimitBytes: memoryMiB * mib });

  it('gives the guest the whole limit when the sandbox’s overhead is enough', () => {
    expect(sizeVm(limited(256), granted(96), {}, options).memoryMiB).toBe(256);
    expect(sizeVm(limited(256, 4), granted(300), {}, options).memoryMiB).toBe(256);
  });

  it('takes from the limit what QEMU needs with so many vCPUs, or as much of it as the sandbox’s overhead does not cover', () => {
    expect(sizeVm(limited(256), undefined, {}, options).memoryMiB).toBe(160);
    expect(sizeVm(limited(256, 2), undefined, {}, options).memoryMiB).toBe(128);
    expect(sizeVm(limited(256), undefined, { vcpus: 2 }, options).memoryMiB).toBe(128);
    expect(sizeVm(limited(256, 2), granted(96), {}, options).memoryMiB).toBe(224);
  });

  it('uses the defaults without limits', () => {
    expect(sizeVm(undefined, undefined, {}, options)).toEqual({ vcpus: 1, memoryMiB: 512 });
  });

  it.each([
    [150_000, 100_000, 2],
    [200_000, 100_000, 2],
    [1_000, 100_000, 1],
    [-1, 100_000, 1],
    [50_000, 10_000, 5],
  ])('quota %i of %i makes %i vCPUs', (cpuQuotaUs, cpuPeriodUs, vcpus) => {
    expect(sizeVm(resourcesOf({ cpuQuotaUs, cpuPeriodUs }), undefined, {}, options).vcpus).toBe(vcpus);
  });

  it('lets the annotation win, within the node’s bound', () => {
    expect(sizeVm(resourcesOf({ cpuQuotaUs: 100_000 }), undefined, { vcpus: 4 }, options).vcpus).toBe(4);
    expect(() => sizeVm(undefined, undefined, { vcpus: 9 }, options)).toThrow(
      /annotation vmlet.dev\/vcpus: asks for 9 vCPUs; this node allows 8/,
    );
  });

  it('refuses too little memory with the numbers', () => {
    expect(() => sizeVm(limited(100), undefined, {}, options)).toThrow(
      'resources.limits.memory: 100 MiB leaves 4 MiB to the guest; at least 112 MiB is needed' +
        ' (96 MiB of it for QEMU with 1 vCPU; a RuntimeClass with overhead.podFixed.memory of 96 MiB grants that beside the limit)',
    );
    expect(() => sizeVm(limited(40, 2), granted(96), {}, options)).toThrow(
      /40 MiB leaves 8 MiB .* at least 48 MiB is needed \(32 MiB of it for QEMU with 2 vCPUs; .* of 128 MiB grants/,
    );
    expect(() => sizeVm(limited(8), granted(96), {}, options)).toThrow(/8 MiB leaves 8 MiB to the guest; at least 16 MiB is needed$/);
  });
});

describe('admission', () => {
  const config = containerOf({}).config;

  it('answers a repeated call with what it made', () => {
    expect(planCreate(sandboxOf({}), [containerOf({ state: 'CREATED' })], config)).toEqual({ action: 'answer', id: containerOf({}).id });
  });

  it('lets a higher attempt replace a CREATED one and follow an EXITED one', () => {
    const older = containerOf({ id: 'b', state: 'CREATED' });
    const ended = containerOf({ id: 'c', state: 'EXITED', attempt: 1 });
    expect(planCreate(sandboxOf({}), [older, ended], { ...config, attempt: 2 })).toEqual({ action: 'create', supersedes: [older, ended] });
  });

  it.each<[string, ContainerState, string, RegExp]>([
    ['another name that is CREATED', 'CREATED', 'web', /one VM at a time, and container web \(attempt 0\) is CREATED/],
    ['another name that is RUNNING', 'RUNNING', 'web', /one VM at a time/],
    ['the same name that is RUNNING', 'RUNNING', 'vm', /is RUNNING/],
    ['one that cannot be read', 'UNKNOWN', 'web', /is UNKNOWN/],
  ])('refuses a VM beside %s', (_name, state, name, message) => {
    expect(() => planCreate(sandboxOf({}), [containerOf({ id: 'b', state, name })], { ...config, attempt: 1 })).toThrow(message);
  });

  it('refuses a sandbox that is not READY, and a start of what is not CREATED or not alone', () => {
    expect(() => planCreate(sandboxOf({ state: 'NOTREADY' }), [], config)).toThrow(/is NOTREADY, it must be READY/);
    const created = containerOf({ state: 'CREATED' });
    expect(() => requireStartable(sandboxOf({}), [created], { ...created, state: 'EXITED' })).toThrow(/only a CREATED one can be started/);
    expect(() => requireStartable(sandboxOf({}), [created, containerOf({ id: 'b', state: 'RUNNING', name: 'web' })], created)).toThrow(
      /one VM/,
    );
    expect(() => requireStartable(sandboxOf({}), [created, containerOf({ id: 'b', state: 'CREATED', attempt: 1 })], created)).toThrow(
      /one VM/,
    );
    expect(() => requireStartable(sandboxOf({}), [created, containerOf({ id: 'b', state: 'EXITED', name: 'web' })], created)).not.toThrow();
  });
});

describe('exits', () => {
  const facts: EndFacts = {
    cause: 'shutdown',
    oomKills: 0,
    destroyedBecause: undefined,
    report: undefined,
    rebooted: false,
    hypervisorLog: '',
    atNs: 5n,
  };
  const ended = '2026-11-25 03:00:00.000+0000: shutting down, reason=crashed';

  it.each<[Partial<EndFacts>, number, string, string]>([
    [{ cause: 'shutdown' }, 0, 'Completed', ''],
    [{ cause: 'destroyed', destroyedBecause: 'grace period exceeded' }, 137, 'Error', 'grace period exceeded'],
    [{ cause: 'destroyed' }, 137, 'Error', 'the VM was destroyed'],
    [{ cause: 'panicked' }, 134, 'Error', 'guest panicked'],
    [{ cause: 'crashed', oomKills: 1 }, 137, 'OOMKilled', 'killed by the memory limit'],
    [{ cause: 'failed', hypervisorLog: 'no such device' }, 1, 'Error', 'QEMU ended unexpectedly: no such device'],
    [{ cause: 'failed', hypervisorLog: ended }, 137, 'Error', 'QEMU ended unexpectedly: without a word, as when it is killed'],
    [
      { cause: 'failed', hypervisorLog: `Assertion \`x' failed.\n${ended}` },
      134,
      'Error',
      "QEMU ended unexpectedly: Assertion `x' failed.",
    ],
    [{ cause: 'shutdown', hypervisorLog: 'qemu: terminating on signal 15 from pid 7 (sh)' }, 143, 'Error', 'QEMU was ended by signal 15'],
    [{ cause: 'shutdown', hypervisorLog: 'qemu: terminating on signal 15 from pid 7 (libvirtd)' }, 0, 'Completed', ''],
    [{ cause: 'shutdown', report: { exitCode: 3, message: 'no database' } }, 3, 'Error', ''],
    [{ cause: 'shutdown', report: { exitCode: 0, message: 'done' } }, 0, 'Completed', ''],
    [{ cause: 'destroyed', report: { exitCode: 0, message: '' } }, 137, 'Error', 'the VM was destroyed'],
    [{ cause: 'lost' }, 255, 'Unknown', 'the end of the VM was not observed'],
    [{ cause: 'lost', rebooted: true }, 255, 'Unknown', 'node rebooted'],
  ])('%j is %i %s', (change, exitCode, reason, message) => {
    expect(exitOf({ ...facts, ...change })).toEqual({ exitCode, reason, message, finishedAtNs: 5n });
  });

  it('a failed start is 128 StartError', () => {
    expect(startFailed('no', 7n)).toEqual({ exitCode: 128, reason: 'StartError', message: 'no', finishedAtNs: 7n });
  });
});

describe('layout', () => {
  it('keeps the log below its directory', () => {
    expect(criLogPath('/var/log/pods/x/', 'vm/0.log')).toBe('/var/log/pods/x/vm/0.log');
    expect(criLogPath('', 'vm/0.log')).toBeUndefined();
    expect(criLogPath('/var/log', '')).toBeUndefined();
    for (const path of ['../x', 'a/../../x', '/etc/passwd', '.']) expect(() => criLogPath('/var/log', path)).toThrow(/log_path/);
    expect(() => criLogPath('relative', 'x')).toThrow(/log_directory/);
  });

  it('keeps sockets short', () => {
    expect(vmPaths('/var/lib/vmlet', '/run/vmlet', 'a'.repeat(64)).consoleSocket.length).toBeLessThan(60);
  });
});

describe('recovery plan', () => {
  const vm = (state: ObservedVm['state'], endCause?: ObservedVm['endCause']): ObservedVm => ({
    name: 'vmlet-x',
    uuid: 'u',
    state,
    endCause,
    identity: {
      sandboxId: 's',
      containerId: containerOf({}).id,
      namespace: 'n',
      podName: 'p',
      podUid: 'u',
      sandboxAttempt: 0,
      containerName: 'vm',
      containerAttempt: 0,
    },
  });

  it.each<[ContainerState, ObservedVm | undefined, string | undefined]>([
    ['CREATING', undefined, 'undo-create'],
    ['CREATING', vm('off'), 'undo-create'],
    ['CREATED', vm('off'), undefined],
    ['CREATED', vm('paused'), 'undo-start'],
    ['CREATED', vm('running'), 'complete-start'],
    ['RUNNING', vm('running'), 'adopt'],
    ['RUNNING', vm('paused'), 'adopt'],
    ['RUNNING', vm('off', 'shutdown'), 'record-end shutdown'],
    ['RUNNING', vm('off'), 'record-end lost'],
    ['RUNNING', undefined, 'record-end lost'],
    ['EXITED', undefined, undefined],
    ['EXITED', vm('off'), 'clear'],
    ['UNKNOWN', vm('running'), undefined],
  ])('%s with %j: %s', (state, observed, expected) => {
    const steps = planRecovery([containerOf({ state })], observed ? [observed] : []);
    expect(steps.map((step) => (step.action === 'record-end' ? `${step.action} ${step.cause}` : step.action))).toEqual(
      expected ? [expected] : [],
    );
  });

  it('names VMs without a record and plans nothing for them', () => {
    expect(strayVms(new Map(), [vm('running')])).toHaveLength(1);
    expect(planRecovery([], [vm('running')])).toEqual([]);
  });
});
