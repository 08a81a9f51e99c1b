import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { seedDocuments, type SeedFacts } from '../../../src/guest/documents.ts';
import { expectGolden } from '../../lib/golden.ts';

const plain: SeedFacts = {
  instanceId: 'a'.repeat(64),
  hostname: 'web-0',
  interfaces: [
    {
      name: 'eth0',
      mac: '0a:58:0a:f4:01:07',
      mtu: 1450,
      addresses: [{ cidr: '10.244.1.7/24', gateway: '10.244.1.1' }],
      routes: [
        { destination: '0.0.0.0/0', gateway: '10.244.1.1' },
        { destination: '10.96.0.0/12', gateway: '10.244.1.9' },
      ],
    },
  ],
  dns: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local', 'cluster.local'], options: ['ndots:5'] },
};

const both: SeedFacts = {
  ...plain,
  hostname: 'db-1.example.internal',
  interfaces: [
    {
      name: 'eth0',
      mac: '10:20:30:40:50:51', // base 60 to YAML 1.1, were it not quoted
      mtu: 1500,
      addresses: [{ cidr: '192.168.9.4/32' }, { cidr: 'fd00:10:244::7/64', gateway: 'fd00:10:244::1' }],
      routes: [
        { destination: '0.0.0.0/0', gateway: '169.254.1.1' },
        { destination: '::/0', gateway: 'fe80::1' },
        { destination: 'fd00:99::/48', gateway: 'fd00:10:244::1' },
      ],
    },
    { name: 'net1', mac: '0a:58:0a:f4:01:08', mtu: 9000, addresses: [{ cidr: '172.30.0.2/16' }], routes: [] },
  ],
  dns: { servers: ['10.96.0.10', 'fd00:10:96::a'], searches: ['_tcp.example.com.', '.'], options: [] },
};

const bare: SeedFacts = {
  ...plain,
  interfaces: [{ name: 'eth0', mac: '0a:58:0a:f4:01:07', mtu: 1500, addresses: [], routes: [] }],
  dns: { servers: [], searches: [], options: [] },
};

describe('the documents of a seed', () => {
  test.each([
    ['plain', plain],
    ['both-families', both],
    ['bare', bare],
  ])('%s', (name, facts) => {
    const documents = seedDocuments(facts);
    expect(Object.keys(documents)).toEqual(['meta-data', 'user-data', 'network-config']);
    const all = Object.entries(documents).map(([file, content]) => `--- ${file}\n${content}`);
    expectGolden(`guest/${name}.txt`, all.join(''));
  });

  test('a route has its metric, an interface the MTU that its routes allow', () => {
    const [eth0] = plain.interfaces;
    if (!eth0) throw new Error('no interface');
    const routes = [
      { destination: '10.0.0.0/8', gateway: '10.244.1.1', metric: 7 },
      { destination: 'fd00:96::/48', metric: 9 },
    ];
    const documents = seedDocuments({ ...plain, interfaces: [{ ...eth0, mtu: 1500, pathMtu: 1450, routes }] });
    expect(parse(documents['network-config'] ?? '')).toMatchObject({
      ethernets: {
        eth0: {
          mtu: 1450,
          routes: [
            { to: '10.0.0.0/8', via: '10.244.1.1', metric: 7 },
            { to: 'fd00:96::/48', scope: 'link', metric: 9 },
          ],
        },
      },
    });
  });

  test('IPv4 routes that not every renderer of cloud-init knows come by DHCP, where there is a server', () => {
    const [eth0] = both.interfaces;
    if (!eth0) throw new Error('no interface');
    const ethernetOf = (guest: typeof eth0): unknown =>
      (parse(seedDocuments({ ...both, interfaces: [guest] })['network-config']) as { ethernets: { eth0: unknown } }).ethernets.eth0;
    expect(ethernetOf(eth0)).toMatchObject({ dhcp4: true, addresses: ['fd00:10:244::7/64'] });
    expect(ethernetOf({ ...eth0, routes: [{ destination: '10.96.0.0/12' }] })).toMatchObject({ dhcp4: true });
    expect(ethernetOf({ ...eth0, routes: [{ destination: 'fd00:96::/48' }] })).toMatchObject({ dhcp4: false });
    const two = [...eth0.addresses, { cidr: '192.168.9.5/32' }];
    expect(ethernetOf({ ...eth0, addresses: two })).toMatchObject({ dhcp4: false, addresses: two.map(({ cidr }) => cidr) });
    const many = Array.from({ length: 40 }, (_, index) => ({ destination: `10.${index}.0.0/16`, gateway: '169.254.1.1' }));
    expect(ethernetOf({ ...eth0, routes: many })).toMatchObject({ dhcp4: false, routes: many.map(({ destination: to }) => ({ to })) });
    expect(ethernetOf({ ...eth0, virtualFunction: { pciAddress: '0000:3b:02.1' } })).toMatchObject({
      dhcp4: false,
      addresses: ['192.168.9.4/32', 'fd00:10:244::7/64'],
      routes: [{ to: '0.0.0.0/0', via: '169.254.1.1', 'on-link': true }, { to: '::/0' }, {}, {}, {}],
    });
  });

  test('the default route for IPv6 comes with its halves, for a cloud-init that takes ::/0 for ::/64', () => {
    const { ethernets } = parse(seedDocuments(both)['network-config']) as {
      ethernets: { eth0: { routes: { to: string; via: string }[] } };
    };
    const byGateway = ethernets.eth0.routes.filter(({ via }) => via === 'fe80::1').map(({ to }) => to);
    expect(byGateway).toEqual(['::/0', '::/1', '8000::/1']);
  });

  test('read by a YAML 1.1 reader, as cloud-init has, names and numbers stay what they are', () => {
    for (const hostname of ['0', '1e3', 'null', 'yes', '0x10', '12-34', '1.2']) {
      const { 'meta-data': metaData } = seedDocuments({ ...plain, hostname });
      expect(parse(metaData, { version: '1.1' })).toMatchObject({ 'local-hostname': hostname });
    }
    const { 'network-config': network } = seedDocuments(both);
    expect(parse(network, { version: '1.1' })).toMatchObject({ ethernets: { eth0: { match: { macaddress: '10:20:30:40:50:51' } } } });
  });
});

describe('hostile names are refused', () => {
  test.each(['', 'a b', 'a\nb: c', '-a', 'a-', 'A', 'a..b', '.', '$(reboot)', "a'b", 'ä', 'a\0', 'a'.repeat(64), `${'a.'.repeat(127)}a`])(
    'host name %j',
    (hostname) => {
      expect(() => seedDocuments({ ...plain, hostname })).toThrow(/^hostname: /);
    },
  );

  test.each(['', 'a b', 'a\nnameserver 6.6.6.6', '..', '-a', 'a;b', '$x', 'ä.de'])('search domain %j', (search) => {
    const dns = { ...plain.dns, searches: ['good.example', search] };
    expect(() => seedDocuments({ ...plain, dns })).toThrow(/^dns_config.searches\[1\]: /);
  });

  test.each(['', 'dns.example', '10.0.0', '10.0.0.1/8', 'fe80::1%eth0', '10.0.0.1\n'])('server %j', (server) => {
    const dns = { ...plain.dns, servers: [server] };
    expect(() => seedDocuments({ ...plain, dns })).toThrow(
      expect.objectContaining({ facts: { code: 'INVALID', field: 'dns_config.servers[0]' } }),
    );
  });

  test('whatever is accepted is one line of plain characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (hostname) => {
        let accepted = true;
        try {
          seedDocuments({ ...plain, hostname });
        } catch {
          accepted = false;
        }
        expect(!accepted || /^[-a-z0-9.]+$/.test(hostname)).toBe(true);
      }),
    );
  });
});
