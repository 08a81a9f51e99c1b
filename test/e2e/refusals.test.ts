import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NamespaceMode } from '../../src/gen/runtime/v1/api_pb.js';
import { runPod, removeAllPods, sandboxConfig, type Pod } from '../kubelet/kubelet.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf, type Failure } from './failure.ts';
import { bootImage, bootImages, requireClean, vmPod } from './guests.ts';

describe('what is refused, with the field and what is accepted', () => {
  const boot = bootImages('halt');
  const image = bootImage('halt');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({
      images: boot.images,
      conflist: ({ conflist }) => ({
        ...conflist,
        plugins: conflist.plugins.map((plugin) => ({ ...plugin, capabilities: { ips: true, mac: true } })),
      }),
    });
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

  /** How a sandbox is refused whose config has been changed in a place that no manifest of this player reaches. */
  const failureOfChanged = async (change: (config: ReturnType<typeof sandboxConfig>) => object): Promise<Failure> => {
    const config = sandboxConfig(node.kubelet.settings, vmPod({ image }));
    return failureOf(node.kubelet.client.runtime.runPodSandbox({ config: { ...config, ...change(config) }, runtimeHandler: 'vm' }));
  };

  const shares = 'config.linux.security_context.namespace_options';
  it.each<readonly [string, object, string]>([
    ['hostNetwork', { network: NamespaceMode.NODE }, `${shares}.network: NODE (hostNetwork) cannot be given to a VM; accepted: POD`],
    [
      'a network of another container',
      { network: NamespaceMode.TARGET, targetId: 'a' },
      `${shares}.network: TARGET cannot be given to a VM; accepted: POD`,
    ],
    [
      'a network of each container',
      { network: NamespaceMode.CONTAINER },
      `${shares}.network: CONTAINER cannot be given to a VM; accepted: POD`,
    ],
    ['hostPID', { pid: NamespaceMode.NODE }, `${shares}.pid: NODE (hostPID) cannot be given to a VM; accepted: POD, CONTAINER`],
    ['hostIPC', { ipc: NamespaceMode.NODE }, `${shares}.ipc: NODE (hostIPC) cannot be given to a VM; accepted: POD`],
  ])('%s, by the node’s or another’s namespace', async (_what, namespaceOptions, message) => {
    const failure = await failureOfChanged(({ linux }) => ({ linux: { ...linux, securityContext: { namespaceOptions } } }));
    expect(failure).toEqual({ code: 'INVALID_ARGUMENT', message });
    expect(await sandboxes()).toEqual([]);
  });

  it('processes of another container are not offered', async () => {
    const namespaceOptions = { pid: NamespaceMode.TARGET, targetId: 'a' };
    const failure = await failureOfChanged(({ linux }) => ({ linux: { ...linux, securityContext: { namespaceOptions } } }));
    expect(failure).toMatchObject({ code: 'UNIMPLEMENTED', message: expect.stringContaining(`${shares}.pid: TARGET`) });
  });

  it.each<readonly [object, string]>([
    [{ hostIp: 'eth0' }, 'host_ip: "eth0" is no IP address; write one of the node\'s, or leave it out for all of them'],
    [{ hostPort: 65_536 }, 'host_port: 65536 must be a port, 0 to 65535'],
    [{ hostPort: -1 }, 'host_port: -1 must be a port, 0 to 65535'],
    [{ containerPort: 0 }, 'container_port: 0 must be a port, 1 to 65535'],
    [{ protocol: 9 }, 'protocol: 9 is unknown; accepted: TCP, UDP, SCTP'],
    [{ hostPort: 8080, containerPort: 81 }, 'host_port: TCP 8080 already leads to container port 80; give each a port of its own'],
  ])('the port mapping %j', async (mapping, problem) => {
    const first = { containerPort: 80, hostPort: 8080 };
    const failure = await failureOfChanged(() => ({ portMappings: [first, { ...first, hostPort: 8081, ...mapping }] }));
    expect(failure).toEqual({ code: 'INVALID_ARGUMENT', message: `config.port_mappings[1].${problem}` });
    expect(await sandboxes()).toEqual([]);
  });

  it.each([
    ['vmlet.dev/mac', '01:00:5e:00:00:01', '"01:00:5e:00:00:01" is no address of one interface; write one such as 52:54:00:12:34:56'],
    ['vmlet.dev/ips', '10.88.7', '"10.88.7" is no IP address, with or without prefix length; separate several with commas'],
    ['vmlet.dev/aliases', 'a b', '"a b" is no name of letters, digits and "-"; separate several with commas'],
    [
      'vmlet.dev/aliases',
      'db',
      'no plugin of the CNI network "pods" has the capability; add a plugin with "capabilities": {"aliases": true}, or leave the annotation out',
    ],
    ['kubernetes.io/egress-bandwidth', 'fast', '"fast" is no rate; write bits per second such as 10M, from 1k to 1P'],
  ])('the annotation %s: %s', async (name, value, problem) => {
    const failure = await failureOfSandbox(vmPod({ image, annotations: { [name]: value } }));
    expect(failure).toEqual({ code: 'INVALID_ARGUMENT', message: `annotation ${name}: ${problem}` });
    expect(await sandboxes()).toEqual([]);
  });

  it('an address that another pod has, in the words of the plugin', async () => {
    const annotations = { 'vmlet.dev/ips': '10.88.7.77' };
    const run = async (name: string): Promise<{ podSandboxId: string }> => {
      const pod = vmPod({ name, image, annotations });
      const config = sandboxConfig(node.kubelet.settings, pod);
      return node.kubelet.client.runtime.runPodSandbox({ config, runtimeHandler: pod.runtimeHandler });
    };
    const { podSandboxId } = await run('first');
    const { status } = await node.kubelet.client.runtime.podSandboxStatus({ podSandboxId });
    expect(status?.network?.ip).toBe('10.88.7.77');
    const failure = await failureOf(run('second'));
    expect(failure.code).toBe('UNKNOWN');
    expect(failure.message).toMatch(/^CNI plugin bridge, ADD: error [0-9]+: .*10\.88\.7\.77/);
    expect(await sandboxes()).toHaveLength(1);
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
