import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseResult, podResult } from '../../../../src/network/cni/result.ts';

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, '..', '..', '..', 'fixtures', 'network', name), 'utf8');
const nothing = { servers: [], searches: [], options: [] };
const address = (more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', interfaces: [{ name: 'eth0', sandbox: '/n' }], ips: [{ address: '10.1.0.2/24', ...more }] });

describe('a result of each version of the specification', () => {
  it.each([
    ['result-bridge-0.3.1.json', ['10.213.7.4/24', 'fd00:213:7::4/64'], nothing],
    ['result-ptp-0.4.0.json', ['10.213.7.3/24', 'fd00:213:7::3/64'], nothing],
    ['result-bridge-1.0.0.json', ['10.213.7.2/24', 'fd00:213:7::2/64'], nothing],
    [
      'result-1.1.0.json',
      ['10.244.1.7/32', 'fd00:10:244::7/128'],
      { servers: ['10.96.0.10', 'fd00:10:96::a'], searches: ['cluster.local', 'svc.cluster.local'], options: ['ndots:5'] },
    ],
  ])('%s is read, and handed on unchanged', (name, cidrs, dns) => {
    const text = fixture(name);
    const result = parseResult(text, (JSON.parse(text) as { cniVersion: string }).cniVersion);
    expect(result).toEqual(JSON.parse(text));
    const pod = podResult(result, 'eth0');
    expect(pod.addresses.map(({ cidr }) => cidr)).toEqual(cidrs);
    expect(pod.dns).toEqual(dns);
  });

  it('keeps gateways with their addresses', () => {
    expect(podResult(parseResult(fixture('result-bridge-1.0.0.json'), '1.0.0'), 'eth0').addresses).toEqual([
      { cidr: '10.213.7.2/24', gateway: '10.213.7.1' },
      { cidr: 'fd00:213:7::2/64', gateway: 'fd00:213:7::1' },
    ]);
  });

  it.each([
    [{}, '0.4.0'],
    [{ cniVersion: '' }, '1.1.0'],
    [{ cniVersion: null }, '1.0.0'],
  ])('is of the configuration’s version when it says none (%j)', (head, version) => {
    expect(parseResult(JSON.stringify({ ...head, ips: [{ address: '10.1.0.2/24' }] }), version)).toEqual({
      cniVersion: version,
      ips: [{ address: '10.1.0.2/24' }],
    });
  });

  it.each([
    [
      '1.1.0',
      '0.3.1',
      [
        { version: '4', address: '10.1.0.2/24' },
        { version: '6', address: 'fd00::2/64' },
      ],
    ],
    ['0.4.0', '1.0.0', [{ address: '10.1.0.2/24' }, { address: 'fd00::2/64' }]],
  ])('of version %s becomes one of %s', (from, to, ips) => {
    const text = JSON.stringify({ cniVersion: from, ips: [{ address: '10.1.0.2/24' }, { address: 'fd00::2/64' }], other: 1 });
    expect(parseResult(text, to)).toEqual({ cniVersion: to, ips, other: 1 });
  });

  it('has null where Go writes it', () => {
    const text = JSON.stringify({
      cniVersion: '0.4.0',
      interfaces: null,
      ips: [{ version: '4', address: '10.1.0.2/24', gateway: null }],
      routes: null,
      dns: {},
    });
    expect(podResult(parseResult(text, '0.4.0'), 'eth0')).toEqual({ addresses: [{ cidr: '10.1.0.2/24' }], dns: nothing });
  });
});

describe('podResult', () => {
  const result = (interfaces: readonly object[], at: number | undefined): object => ({
    cniVersion: '1.0.0',
    interfaces,
    ips: [{ address: '10.1.0.2/24', ...(at === undefined ? {} : { interface: at }) }],
  });
  const read = (value: object): unknown => podResult(parseResult(JSON.stringify(value), '1.0.0'), 'eth0').addresses;

  it.each([
    ['without an interface', result([], undefined)],
    ['of the pod’s interface', result([{ name: 'eth0', sandbox: '/n' }], 0)],
    ['of the host’s end', result([{ name: 'cali1' }], 0)],
    ['of the host’s end, said with an empty sandbox', result([{ name: 'cali1', sandbox: '' }], 0)],
  ])('takes an address %s', (_what, value) => {
    expect(read(value)).toEqual([{ cidr: '10.1.0.2/24' }]);
  });

  it('leaves an address of another interface of the pod', () => {
    const other = result([{ name: 'net1', sandbox: '/n' }], 0);
    expect(() => read(other)).toThrow('the result has no IP address for eth0; vmlet needs a plugin with IPAM');
  });

  it('says each search domain once, the domain first', () => {
    const dns = { domain: 'b', search: ['a', 'b', 'c', 'a'] };
    const text = JSON.stringify({ cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/24' }], dns });
    expect(podResult(parseResult(text, '1.0.0'), 'eth0').dns.searches).toEqual(['b', 'a', 'c']);
  });
});

describe('parseResult refuses', () => {
  it.each([
    ['the output is not JSON', ''],
    ['the output is not JSON', 'all is well'],
    ['document: ', '[]'],
    ['cniVersion: ', '{"cniVersion": 1, "ips": []}'],
    ['cniVersion: 9.9.9 is not supported', '{"cniVersion": "9.9.9"}'],
    ['cniVersion: 0.2.0 is not supported; accepted: 0.3.0', '{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.2/24"}}'],
    ['ips.0.address: must be an address with prefix length', address({ address: '10.1.0.2' })],
    ['ips.0.gateway: must be an IP address', address({ gateway: '10.1.0.1/24' })],
    ['ips.0.gateway: fd00::1 is not of the family of 10.1.0.2/24', address({ gateway: 'fd00::1' })],
    ['ips.0.version: 6 does not fit 10.1.0.2/24', address({ version: '6' })],
    ['ips.0.interface: 1, but the result has 1 interfaces', address({ interface: 1 })],
    ['ips.0.interface: ', address({ interface: -1 })],
    ['interfaces.0.name: ', '{"cniVersion": "1.0.0", "interfaces": [{"mac": "02:00:00:00:00:01"}]}'],
    ['routes.0.dst: must be a network', '{"cniVersion": "1.0.0", "routes": [{"dst": "default"}]}'],
    ...['mtu', 'advmss', 'priority', 'table', 'scope'].map((field) => [
      `routes.0.${field}: `,
      JSON.stringify({ cniVersion: '1.0.0', routes: [{ dst: '10.1.0.0/16', [field]: -1 }] }),
    ]),
    ['dns.nameservers.0: must be an IP address', '{"cniVersion": "1.0.0", "dns": {"nameservers": ["ns.example"]}}'],
  ])('with "%s"', (problem = '', text = '') => {
    expect(() => parseResult(text, '1.0.0')).toThrow(problem);
  });

  it('or reads, whatever is in one field of a good one, and names the field', () => {
    const base = JSON.parse(fixture('result-bridge-1.0.0.json')) as Record<string, unknown>;
    const outcomeOf = (value: object): string => {
      try {
        const { addresses } = podResult(parseResult(JSON.stringify(value), '1.0.0'), 'eth0');
        return addresses.length > 0 ? 'read' : 'nothing read';
      } catch (error) {
        return error instanceof Error ? error.message : 'no error';
      }
    };
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(base), 'other'), fc.jsonValue(), (field, value) => {
        expect(outcomeOf({ ...base, [field]: value })).toMatch(new RegExp(`^(read$|${field}|ips\\.|the result has no IP address)`));
      }),
      { numRuns: 300 },
    );
  });
});
