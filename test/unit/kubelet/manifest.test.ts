import { describe, expect, it } from 'vitest';
import { podFromManifest } from '../../kubelet/kubelet.ts';

const head = 'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n';
const read = (spec: string): ReturnType<typeof podFromManifest> =>
  podFromManifest(`${head}spec: ${spec}`, { uid: 'u1', seenAt: '2026-01-01T00:00:00.000000000Z' });

describe('podFromManifest', () => {
  it('applies the API server’s defaults', () => {
    const pod = read('{containers: [{name: vm, image: "a/b:1"}]}');
    expect(pod).toMatchObject({ namespace: 'default', uid: 'u1', hostname: 'web', terminationGracePeriodSeconds: 30, runtimeHandler: '' });
    expect(pod.containers[0]).toMatchObject({ imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log' });
  });

  it.each([
    ['a/b', 'Always'],
    ['a/b:latest', 'Always'],
    ['host:5000/a/b', 'Always'],
    ['a/b:1', 'IfNotPresent'],
    ['a/b@sha256:00', 'IfNotPresent'],
  ])('pulls %s %s by default', (image, policy) => {
    expect(read(`{containers: [{name: vm, image: "${image}"}]}`).containers[0]?.imagePullPolicy).toBe(policy);
  });

  it('sets requests that are not given to the limits', () => {
    const pod = read('{containers: [{name: vm, image: a, resources: {limits: {cpu: 500m, memory: 1Gi}, requests: {cpu: 0.1}}}]}');
    expect(pod.containers[0]?.requests).toEqual({ milliCpu: 100, memoryBytes: 2 ** 30 });
  });

  it.each([
    ['a volume', '{volumes: [], containers: [{name: vm, image: a}]}', 'volumes'],
    ['a probe', '{containers: [{name: vm, image: a, livenessProbe: {}}]}', 'livenessProbe'],
    ['an init container', '{initContainers: [], containers: [{name: vm, image: a}]}', 'initContainers'],
    ['a misspelt field', '{runtimeClass: vm, containers: [{name: vm, image: a}]}', 'runtimeClass'],
    ['no container', '{containers: []}', 'containers'],
    ['nonsense for memory', '{containers: [{name: vm, image: a, resources: {limits: {memory: lots}}}]}', 'memory'],
  ])('refuses %s by name', (_what, spec, field) => {
    expect(() => read(spec)).toThrow(field);
  });
});
