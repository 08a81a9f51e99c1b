import { describe, expect, it } from 'vitest';
import type { LinuxResources } from '../../../src/model/sandbox.ts';
import { leafLimits } from '../../../src/pods/limits.ts';
import { mergeResources, withResources } from '../../../src/pods/resource-change.ts';
import { containerOf, sandboxOf } from './samples.ts';
import { makeWorld, podConfig, vmConfig } from './world.ts';

const signal = AbortSignal.timeout(60_000);
const mib = 2 ** 20;

function resources(changes: Partial<LinuxResources>): LinuxResources {
  const none = { cpuPeriodUs: 0, cpuQuotaUs: 0, cpuShares: 0, memoryLimitBytes: 0, memorySwapLimitBytes: 0, oomScoreAdj: 0 };
  return { ...none, cpusetCpus: '', cpusetMems: '', unified: {}, hugepageLimits: [], ...changes };
}

const before = resources({ cpuPeriodUs: 100_000, cpuQuotaUs: 200_000, cpuShares: 512, memoryLimitBytes: 512 * mib, oomScoreAdj: 900 });

describe('mergeResources', () => {
  it('keeps what the change leaves empty', () => {
    expect(mergeResources(before, resources({ cpusetCpus: '0-1' }))).toEqual({ ...before, cpusetCpus: '0-1' });
    expect(mergeResources(before, resources({ cpuQuotaUs: -1 }))).toEqual({ ...before, cpuQuotaUs: -1 });
    expect(mergeResources(undefined, resources({ cpuShares: 2 }))).toEqual(resources({ cpuShares: 2 }));
  });
});

describe('withResources', () => {
  const base = containerOf({});
  const container = { ...base, config: { ...base.config, resources: before }, vm: { ...base.vm, vcpus: 2 } };
  const sandbox = sandboxOf({});

  it('takes CPU within the vCPUs that are there, and the memory that is there', () => {
    const less = withResources(sandbox, container, resources({ cpuQuotaUs: 50_000, memoryLimitBytes: 512 * mib }));
    expect(less.config.resources).toEqual({ ...before, cpuQuotaUs: 50_000 });
    expect(leafLimits(sandbox, less)).toEqual({
      cpuQuotaUs: 50_000,
      cpuPeriodUs: 100_000,
      cpuShares: 512,
      memoryLimitBytes: 512 * mib,
    });
    const granted = { ...sandbox, config: { ...sandbox.config, overhead: resources({ memoryLimitBytes: 96 * mib }) } };
    expect(leafLimits(granted, less).memoryLimitBytes).toBe((512 + 96) * mib);
    expect(withResources(sandbox, container, resources({ cpuQuotaUs: -1 })).config.resources?.cpuQuotaUs).toBe(-1);
  });

  it('refuses what is fixed at creation, with the way out', () => {
    expect(() => withResources(sandbox, container, resources({ memoryLimitBytes: 1024 * mib }))).toThrow(
      /limits\.memory.*RestartContainer/,
    );
    expect(() => withResources(sandbox, container, resources({ cpuQuotaUs: 300_000 }))).toThrow(
      /limits\.cpu: 3 vCPUs.*has 2.*RestartContainer/,
    );
  });

  it('takes any quota where the pod has pinned the number of vCPUs', () => {
    const pinned = { ...sandbox, config: { ...sandbox.config, annotations: { 'vmlet.dev/vcpus': '2' } } };
    expect(withResources(pinned, container, resources({ cpuQuotaUs: 800_000 })).config.resources?.cpuQuotaUs).toBe(800_000);
  });
});

describe('an update of resources', () => {
  it('reaches the cgroup of a running VM at once, and the record', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    const id = await pods.createContainer(sandbox, { ...vmConfig, resources: before }, signal);
    await pods.updateContainerResources(id, resources({ cpuShares: 100 }), signal);
    expect(world.calls.filter((call) => call.startsWith('applyLimits'))).toEqual([]);
    await pods.startContainer(id, signal);
    await pods.updateContainerResources(id, resources({ cpuQuotaUs: 30_000, cpusetCpus: '0' }), signal);
    const [applied] = world.calls.filter((call) => call.startsWith('applyLimits'));
    expect(applied).toContain('"cpuQuotaUs":30000');
    expect(applied).toContain('"cpusetCpus":"0"');
    expect(pods.container(id).config.resources).toEqual({ ...before, cpuShares: 100, cpuQuotaUs: 30_000, cpusetCpus: '0' });
    const again = await world.boot();
    expect(again.container(id).config.resources?.cpuQuotaUs).toBe(30_000);
  });

  it('that the kernel refuses changes nothing', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    const id = await pods.createContainer(sandbox, { ...vmConfig, resources: before }, signal);
    await pods.startContainer(id, signal);
    world.failing.set('applyLimits', new Error('EINVAL'));
    await expect(pods.updateContainerResources(id, resources({ cpusetCpus: '99' }), signal)).rejects.toThrow('EINVAL');
    world.failing.clear();
    expect(pods.container(id).config.resources).toEqual(before);
  });

  it('is kept for a sandbox, and refused for what is not there or has ended', async () => {
    const world = makeWorld();
    const pods = await world.boot();
    const sandbox = await pods.runSandbox(podConfig, signal);
    await pods.updateSandboxResources(sandbox, { overhead: resources({ memoryLimitBytes: 64 * mib }) }, signal);
    expect(pods.sandbox(sandbox).config.overhead?.memoryLimitBytes).toBe(64 * mib);
    await expect(pods.updateSandboxResources('ffff', {}, signal)).rejects.toMatchObject({ facts: { code: 'NOT_FOUND' } });
    await expect(pods.updateContainerResources('ffff', before, signal)).rejects.toMatchObject({ facts: { code: 'NOT_FOUND' } });
    const id = await pods.createContainer(sandbox, vmConfig, signal);
    await pods.startContainer(id, signal);
    await pods.stopContainer(id, 0, signal);
    await expect(pods.updateContainerResources(id, before, signal)).rejects.toMatchObject({ facts: { code: 'WRONG_STATE' } });
  });
});
