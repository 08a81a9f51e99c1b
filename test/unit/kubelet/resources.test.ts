import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { podFromManifest, sandboxConfig, nodeSettings, podCgroup } from '../../kubelet/kubelet.ts';
import { containerResources, qosClass, sandboxResources } from '../../kubelet/resources.ts';

const pod = (resources: string): ReturnType<typeof podFromManifest> =>
  podFromManifest(
    `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: "a:1", resources: ${resources}}]}}`,
  );

describe('resources by the kubelet’s formulas', () => {
  it.each([
    ['{}', 'BestEffort', '/kubepods/besteffort/pod'],
    ['{limits: {cpu: 1, memory: 1Gi}}', 'Guaranteed', '/kubepods/pod'],
    ['{limits: {memory: 1Gi}}', 'Burstable', '/kubepods/burstable/pod'],
    ['{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}', 'Burstable', '/kubepods/burstable/pod'],
  ])('%s is %s', (resources, qos, cgroup) => {
    expect(qosClass(pod(resources))).toBe(qos);
    expect(podCgroup(nodeSettings('/x'), pod(resources))).toMatch(cgroup);
  });

  it.each([
    ['{}', { cpuPeriod: 100_000n, cpuShares: 2n }],
    ['{limits: {cpu: 5m}}', { cpuPeriod: 100_000n, cpuShares: 5n, cpuQuota: 1_000n }],
    [
      '{limits: {cpu: 200m, memory: 64Mi}, requests: {cpu: 100m}}',
      { cpuPeriod: 100_000n, cpuShares: 102n, cpuQuota: 20_000n, memoryLimitInBytes: 67_108_864n },
    ],
  ])('%s', (resources, expected) => {
    expect(sandboxResources(pod(resources))).toEqual(expected);
  });

  it.each([
    ['{}', 1000n],
    ['{limits: {cpu: 1, memory: 1Gi}}', -997n],
    ['{requests: {cpu: 1}}', 999n],
    ['{requests: {memory: 4Gi}}', 750n],
    ['{requests: {memory: 16Gi}}', 3n],
  ])('the OOM score of %s on a node of 16 GiB is %s', (resources, score) => {
    const made = pod(resources);
    const [container] = made.containers;
    expect(container && containerResources(made, container, 16 * 2 ** 30).oomScoreAdj).toBe(score);
  });

  it('keeps shares and quota within the kernel’s bounds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000_000 }), (milli) => {
        const { cpuShares = 0n, cpuQuota = 0n } = sandboxResources(pod(`{limits: {cpu: ${milli}m}}`));
        expect(cpuShares >= 2n && cpuShares <= 262_144n && cpuQuota >= 1_000n).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('sums over containers', () => {
    const two = podFromManifest(
      '{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: "a:1", resources: {limits: {cpu: 1}}}, {name: b, image: "b:1", resources: {limits: {cpu: 250m, memory: 1Mi}}}]}}',
    );
    expect(sandboxConfig(nodeSettings('/x'), two).linux?.resources).toMatchObject({ cpuQuota: 125_000n, memoryLimitInBytes: 1_048_576n });
  });
});
