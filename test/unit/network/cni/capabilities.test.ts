import { describe, expect, it } from 'vitest';
import type { StringMap } from '../../../../src/model/sandbox.ts';
import {
  capabilityArguments,
  checkOwnCapabilities,
  networkAnnotations,
  unservedCapabilities,
} from '../../../../src/network/cni/capabilities.ts';

const noDns = { servers: [], searches: [], options: [] };
const asked = (annotations: StringMap): object => capabilityArguments({ dns: noDns, portMappings: [], annotations });
const network = {
  name: 'pods',
  cniVersion: '1.0.0',
  plugins: [
    { type: 'bridge', capabilities: { dns: true, ips: true, portMappings: false } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

describe('what a pod asks of its network', () => {
  it('is ports of the host, DNS, bandwidth and annotations', () => {
    const annotations = { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '1500', 'example.com/x': 'y' };
    const portMappings = [
      { protocol: 'SCTP' as const, containerPort: 1, hostPort: 2, hostIp: '::1' },
      { protocol: 'TCP' as const, containerPort: 80, hostPort: 0, hostIp: '' },
    ];
    const dns = { servers: ['10.96.0.10'], searches: [], options: ['ndots:5'] };
    expect(capabilityArguments({ dns, portMappings, annotations })).toEqual({
      portMappings: [{ hostPort: 2, containerPort: 1, protocol: 'sctp', hostIP: '::1' }],
      dns,
      bandwidth: { ingressRate: 10_000_000, ingressBurst: 1_000_000, egressRate: 1500, egressBurst: 262_144 },
      'io.kubernetes.cri.pod-annotations': annotations,
    });
    expect(asked({})).toEqual({});
  });

  it('is ports at single addresses before those at all of them, which else would hide them', () => {
    const hostIps = ['', '0.0.0.0', '192.0.2.7', '::', '192.0.2.8', '::1'];
    const portMappings = hostIps.map((hostIp, index) => ({ protocol: 'TCP' as const, containerPort: index + 1, hostPort: 8080, hostIp }));
    const { portMappings: wanted } = capabilityArguments({ dns: noDns, portMappings, annotations: {} });
    expect(wanted).toEqual([3, 5, 6, 1, 2, 4].map((containerPort) => expect.objectContaining({ containerPort }) as object));
  });

  it('is MAC, addresses and aliases by annotations of ours', () => {
    const annotations = {
      'vmlet.dev/mac': '52:54:00:AB:cd:01',
      'vmlet.dev/ips': '10.1.0.7, fd00::7/64',
      'vmlet.dev/aliases': 'db,primary-db,db',
    };
    expect(Object.keys(annotations)).toEqual(networkAnnotations);
    expect(asked(annotations)).toMatchObject({
      mac: '52:54:00:ab:cd:01',
      ips: ['10.1.0.7', 'fd00::7/64'],
      aliases: ['db', 'primary-db'],
    });
  });

  it.each([
    ['1k', 1_000],
    ['1P', 1e15],
    ['1G', 1e9],
    ['1.5M', 1_500_000],
    ['2e6', 2_000_000],
    ['1Mi', 1_048_576],
    ['1000500m', 1_001],
  ])('is a bandwidth of "%s"', (text, ingressRate) => {
    expect(asked({ 'kubernetes.io/ingress-bandwidth': text })).toMatchObject({ bandwidth: { ingressRate } });
  });

  it.each([
    ...['fast', '', '-1', '999', '0', '1.1P', '2P', '1e99', '10 M', '1MB', '.'].map((text) => ['kubernetes.io/egress-bandwidth', text]),
    ...['', '52:54:00:12:34', '01:00:5e:00:00:01', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '52:54:00:12:34:5g'].map((text) => [
      'vmlet.dev/mac',
      text,
    ]),
    ...['', '10.1.0', '10.1.0.1/33', '10.1.0.1,', 'fe80::1%eth0', '10.0.0.1;IP=1'].map((text) => ['vmlet.dev/ips', text]),
    ...['', 'a b', 'a,,b', '-a', 'a'.repeat(64), Array.from({ length: 33 }, (_, index) => `a${index}`).join(',')].map((text) => [
      'vmlet.dev/aliases',
      text,
    ]),
  ])('is not %s: %j', (annotation = '', text = '') => {
    expect(() => asked({ [annotation]: text })).toThrow(annotation);
  });
});

describe('what no plugin of the network declares', () => {
  it('is told where Kubernetes asked for it', () => {
    expect(unservedCapabilities(network, { portMappings: [], dns: {}, bandwidth: {} })).toEqual(['bandwidth']);
    expect(unservedCapabilities(network, { dns: {} })).toEqual([]);
  });

  it('is refused where an annotation of ours did, with what to do', () => {
    checkOwnCapabilities(network, { ips: ['10.1.0.7'], bandwidth: {} });
    expect(() => checkOwnCapabilities(network, { mac: '52:54:00:12:34:56' })).toThrow(
      'annotation vmlet.dev/mac: no plugin of the CNI network "pods" has the capability; ' +
        'add a plugin with "capabilities": {"mac": true}, or leave the annotation out',
    );
  });
});
