import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runPod, removeAllPods, sandboxConfig, type Pod } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf, type Failure } from './failure.ts';
import { bootImage, bootImages, requireClean, vmPod } from './guests.ts';

describe('what is refused, with the field and what is accepted', () => {
  const boot = bootImages('halt');
  const image = bootImage('halt');
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

  const failureOfSandbox = async (pod: Pod): Promise<Failure> => {
    const config = sandboxConfig(node.kubelet.settings, pod);
    return failureOf(node.kubelet.client.runtime.runPodSandbox({ config, runtimeHandler: pod.runtimeHandler }));
  };
  const sandboxes = async (): Promise<unknown[]> => (await node.kubelet.client.runtime.listPodSandbox({})).items;

  it.each([
    ['an unknown runtime handler', { spec: { runtimeClassName: 'gvisor' } }, /gvisor/, /vm/],
    ['an unknown annotation', { annotations: { 'vmlet.dev/vcpu': '2' } }, /vmlet\.dev\/vcpu\b/, /vmlet\.dev\/vcpus/],
    ['a malformed annotation', { annotations: { 'vmlet.dev/vcpus': 'two' } }, /vmlet\.dev\/vcpus/, /whole number/],
    ['too many vCPUs', { annotations: { 'vmlet.dev/vcpus': '999' } }, /vmlet\.dev\/vcpus/, /64/],
    ['hostNetwork', { spec: { hostNetwork: true } }, /hostNetwork|namespace_options\.network/, /POD/],
    ['less memory than a VM needs', { memory: '97Mi' }, /memory/, /[0-9]/],
  ])('%s', async (_what, options, field, accepted) => {
    const failure = await failureOf(runPod(node.kubelet, vmPod({ image, ...options })));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(failure.message).toMatch(field);
    expect(failure.message).toMatch(accepted);
  });

  it('leaves no sandbox behind when the sandbox itself is refused', async () => {
    await failureOfSandbox(vmPod({ image, spec: { hostNetwork: true } }));
    await failureOfSandbox(vmPod({ image, spec: { runtimeClassName: 'gvisor' } }));
    expect(await sandboxes()).toEqual([]);
  });

  it.each(['registry.example/UPPER:1', 'a b', '../escape', 'name@sha256:short', ''])('the reference %j', async (reference) => {
    const failure = await failureOf(node.kubelet.client.image.pullImage({ image: { image: reference } }));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(failure.message).toMatch(/^image\b/);
  });
});
