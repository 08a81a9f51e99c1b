import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkRequest, chooseDns, type AttachRequest } from '../../../src/network/attach-request.ts';
import { networkEnvironment, networkInput, pluginEnvironment, pluginInput } from '../../../src/network/cni/input.ts';
import { hasCode } from '../../../src/model/errors.ts';

const request = (more: Partial<AttachRequest> = {}): AttachRequest => ({
  sandboxId: 'ab'.repeat(32),
  metadata: { name: 'web-0', namespace: 'shop', uid: 'f0a1-22', attempt: 1 },
  hostname: 'web-0.shop.example',
  dns: { servers: ['10.96.0.10', 'fd00::a'], searches: ['shop.svc.cluster.local', '_tcp.example.com.'], options: ['ndots:5'] },
  portMappings: [],
  annotations: {},
  ...more,
});
const dns = (more: object): Partial<AttachRequest> => ({ dns: { servers: [], searches: [], options: [], ...more } });
const metadata = (more: object): Partial<AttachRequest> => ({ metadata: { ...request().metadata, ...more } });

/** The field that a request is refused for. */
function refusedFor(more: Partial<AttachRequest>): string | undefined {
  try {
    checkRequest(request(more));
    return undefined;
  } catch (error) {
    return hasCode(error, 'INVALID') && error.facts.code === 'INVALID' ? error.facts.field : 'another error';
  }
}

describe('checkRequest', () => {
  it.each<readonly [string | undefined, Partial<AttachRequest>]>([
    [undefined, {}],
    [undefined, { hostname: '' }],
    [undefined, { hostname: '1' }],
    ['hostname', { hostname: 'web,1' }],
    ['hostname', { hostname: 'web 1' }],
    ['hostname', { hostname: '-web' }],
    ['hostname', { hostname: 'web.' }],
    ['hostname', { hostname: 'web\n' }],
    ['dns_config.servers', dns({ servers: ['10.0.0.1', '10.0.0.1,10.0.0.2'] })],
    ['dns_config.servers', dns({ servers: ['fe80::1%eth0'] })],
    ['dns_config.searches', dns({ searches: ['a,b'] })],
    ['dns_config.searches', dns({ searches: [''] })],
    ['dns_config.searches', dns({ searches: ['a\nb'] })],
    ['dns_config.searches', dns({ searches: ['example.com', `${'a'.repeat(64)}.example.com`] })],
    ['metadata.name', metadata({ name: 'a;K8S_POD_NAMESPACE=kube-system' })],
    ['metadata.namespace', metadata({ namespace: 'a=b' })],
    ['metadata.uid', metadata({ uid: 'a b' })],
    ['metadata.uid', metadata({ uid: 'a\u0000' })],
  ])('names %s', (field, more) => {
    expect(refusedFor(more)).toBe(field);
  });

  it('lets nothing through that CNI_ARGS would give another meaning', () => {
    const harmless = { weight: 40, arbitrary: fc.constantFrom('a', '-', '.', ',', '"', '/', 'K8S_POD_NAME', 'é') };
    const text = fc.string({ unit: fc.oneof(harmless, { weight: 1, arbitrary: fc.constantFrom(';', '=', ' ', '\t', '\n', '\0') }) });
    fc.assert(
      fc.property(text, text, text, (name, namespace, uid) => {
        const wanted = { name, namespace, uid, attempt: 0 };
        fc.pre(refusedFor({ metadata: wanted }) === undefined);
        const { CNI_ARGS = '' } = pluginEnvironment('ADD', { sandboxId: 'id', metadata: wanted, capabilities: {} }, '/n', []);
        const args = new Map(CNI_ARGS.split(';').map((pair) => pair.split('=') as [string, string]));
        expect([...args]).toEqual([
          ['IgnoreUnknown', '1'],
          ['K8S_POD_NAMESPACE', namespace],
          ['K8S_POD_NAME', name],
          ['K8S_POD_INFRA_CONTAINER_ID', 'id'],
          ['K8S_POD_UID', uid],
        ]);
      }),
    );
  });
});

it('prefers the pod’s DNS as a whole', () => {
  const network = { servers: ['10.0.0.1'], searches: ['net'], options: [] };
  const none = { servers: [], searches: [], options: [] };
  expect(chooseDns(none, network)).toBe(network);
  const pod = { ...none, options: ['ndots:2'] };
  expect(chooseDns(pod, network)).toBe(pod);
});

it.each(['a b', 'b,6.6.6.6', '.corp', 'a..b', `${'a'.repeat(64)}.example`])(
  'refuses a network’s search domain %j where it counts',
  (search) => {
    const network = { servers: [], searches: ['corp', search], options: [] };
    const none = { servers: [], searches: [], options: [] };
    expect(() => chooseDns(none, network)).toThrow(`dns: "${search}" is no domain name: labels of 1 to 63 letters`);
    const pod = { ...none, servers: ['10.96.0.10'] };
    expect(chooseDns(pod, network)).toBe(pod);
  },
);

describe('what plugins are told', () => {
  const network = {
    name: 'pods',
    cniVersion: '1.0.0',
    plugins: [
      { type: 'bridge', cniVersion: '0.3.1', name: 'other', capabilities: { dns: true, ips: true, portMappings: false } },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
    ],
  };

  it('is a complete environment', () => {
    const subject = { sandboxId: 'id', metadata: request().metadata, capabilities: {} };
    expect(pluginEnvironment('DEL', subject, '', ['/opt/cni/bin', '/usr/lib/cni'])).toEqual({
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      CNI_COMMAND: 'DEL',
      CNI_CONTAINERID: 'id',
      CNI_NETNS: '',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=id;K8S_POD_UID=f0a1-22',
      CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
    });
  });

  it('has name and version of the list, and the capabilities that the plugin declares', () => {
    const capabilities = { dns: { servers: ['10.0.0.1'] }, portMappings: [{ hostPort: 80 }] };
    const inputs = network.plugins.map(
      (plugin, index) => JSON.parse(pluginInput(network, plugin, capabilities, index === 0 ? undefined : { ips: [] })) as unknown,
    );
    expect(inputs).toEqual([
      { type: 'bridge', name: 'pods', cniVersion: '1.0.0', runtimeConfig: { dns: { servers: ['10.0.0.1'] } } },
      {
        type: 'portmap',
        snat: true,
        name: 'pods',
        cniVersion: '1.0.0',
        runtimeConfig: { portMappings: [{ hostPort: 80 }] },
        prevResult: { ips: [] },
      },
    ]);
  });

  it('for STATUS and GC is the configuration alone, for GC with what stays', () => {
    const [plugin = { type: '' }] = network.plugins;
    const valid = [{ containerID: 'a', ifname: 'eth0' }];
    const own = { type: 'bridge', name: 'pods', cniVersion: '1.0.0' };
    expect(JSON.parse(networkInput(network, plugin))).toEqual(own);
    expect(JSON.parse(networkInput(network, plugin, valid))).toEqual({
      ...own,
      'cni.dev/valid-attachments': valid,
      'cni.dev/attachments': valid,
    });
    expect(Object.keys(networkEnvironment('GC', ['/opt/cni/bin']))).toEqual(['PATH', 'LC_ALL', 'CNI_COMMAND', 'CNI_PATH']);
  });
});
