import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dhcpMark, dnsmasqArguments, untoldByDhcp, type DhcpSubject } from '../../../../src/network/dhcp/arguments.ts';
import type { GuestInterface } from '../../../../src/model/network.ts';
import { expectGolden } from '../../../lib/golden.ts';

const place = { pidFile: '/run/vmlet/dhcp/id.pid', leaseFile: '/run/vmlet/dhcp/id.leases', user: 'dnsmasq' };
const guest: GuestInterface = {
  name: 'eth0',
  mac: '0a:58:0a:f4:01:07',
  mtu: 1450,
  addresses: [{ cidr: 'fd00:244::7/64' }, { cidr: '10.244.1.7/24', gateway: '10.244.1.1' }],
  routes: [
    { destination: '::/0', gateway: 'fd00:244::1' },
    { destination: '0.0.0.0/0', gateway: '10.244.1.1' },
  ],
};
const subject: DhcpSubject = {
  interfaces: [guest],
  dns: {
    servers: ['10.96.0.10', 'fd00:96::a', '10.96.0.11'],
    searches: ['shop.svc.cluster.local.', 'cluster.local', '.'],
    options: ['ndots:5'],
  },
  hostname: 'web-0',
};
const argumentsFor = (more: Partial<DhcpSubject> = {}): readonly string[] => dnsmasqArguments({ ...subject, ...more }, place);
const withRoutes = (routes: GuestInterface['routes']): readonly string[] => argumentsFor({ interfaces: [{ ...guest, routes }] });
const valueOf = (args: readonly string[], option: string): readonly string[] | undefined => {
  const found = args.map((arg) => /^--dhcp-option(?:-force)?=(.*)$/.exec(arg)?.[1]?.split(',') ?? []).find(([, name]) => name === option);
  return found?.slice(2);
};

describe('the arguments of dnsmasq', () => {
  it('for a pod on a bridge', () => {
    expectGolden('network/dnsmasq-bridge.txt', `${argumentsFor().join('\n')}\n`);
  });

  it('for a pod behind a gateway outside its subnet, with nothing to tell but that', () => {
    const routed: GuestInterface = {
      ...guest,
      addresses: [{ cidr: '192.168.88.5/32' }],
      routes: [
        { destination: '0.0.0.0/0', gateway: '169.254.1.1' },
        { destination: '169.254.1.1/32' },
        { destination: '10.96.0.0/12', gateway: '169.254.1.2' },
      ],
    };
    const args = argumentsFor({ interfaces: [routed], dns: { servers: [], searches: [], options: [] }, hostname: '' });
    expectGolden('network/dnsmasq-routed.txt', `${args.join('\n')}\n`);
  });

  it('with the MTU that its routes allow, where that is less than the device’s', () => {
    expect(valueOf(argumentsFor({ interfaces: [{ ...guest, mtu: 1500, pathMtu: 1430 }] }), 'option:mtu')).toEqual(['1430']);
  });

  it('for two interfaces: what is said on one bridge is not said on the other', () => {
    const second: GuestInterface = {
      name: 'net1',
      mac: '0a:58:0a:32:00:09',
      mtu: 1400,
      addresses: [{ cidr: '10.50.0.9/16' }],
      routes: [{ destination: '10.60.0.0/16', gateway: '10.50.0.1' }],
    };
    expectGolden('network/dnsmasq-two.txt', `${argumentsFor({ interfaces: [guest, second] }).join('\n')}\n`);
  });

  it('leave out an interface without an IPv4 address', () => {
    const six = { ...guest, addresses: [{ cidr: 'fd00:244::7/64' }] };
    const args = argumentsFor({ interfaces: [six, { ...guest, mac: '0a:58:0a:32:00:09' }] });
    expect(args.filter((arg) => arg.startsWith('--interface='))).toEqual(['--interface=vmlet1']);
    expect(args.filter((arg) => arg.startsWith('--dhcp-host='))).toEqual([
      '--dhcp-host=0a:58:0a:32:00:09,set:nic1,tag:!declined,10.244.1.7,infinite',
    ]);
  });

  it('leave out an interface that the guest has as a device', () => {
    const device = { ...guest, virtualFunction: { pciAddress: '0000:3b:02.1' } };
    const args = argumentsFor({ interfaces: [device, { ...guest, mac: '0a:58:0a:32:00:09' }] });
    expect(args.filter((arg) => arg.startsWith('--interface='))).toEqual(['--interface=vmlet1']);
  });

  it('listen to nothing without an IPv4 address', () => {
    const six = { ...guest, addresses: [{ cidr: 'fd00:244::7/64' }] };
    const args = argumentsFor({ interfaces: [six] });
    expect(args.filter((arg) => /^--(interface|dhcp-range|dhcp-host|shared-network)=/.test(arg))).toEqual([]);
    expect(args).toContain(dhcpMark(place));
  });

  it('hold the mark that a server is known by', () => {
    expect(argumentsFor()).toContain(dhcpMark(place));
  });
});

describe('the router', () => {
  it('is sent as none, not as dnsmasq’s own address, where there is no default route', () => {
    const args = withRoutes([]);
    expect(args).toContain('--dhcp-option=tag:nic0,option:router');
    expect(valueOf(args, 'option:classless-static-route')).toBeUndefined();
  });

  it('needs no classless route where option 3 says it all', () => {
    expect(valueOf(withRoutes([{ destination: '0.0.0.0/0', gateway: '10.244.1.1' }]), 'option:classless-static-route')).toBeUndefined();
  });

  it('is told in both ways where there are other routes', () => {
    const args = withRoutes([
      { destination: '10.96.0.0/12', gateway: '10.244.1.2' },
      { destination: '0.0.0.0/0', gateway: '10.244.1.1' },
    ]);
    expect(valueOf(args, 'option:router')).toEqual(['10.244.1.1']);
    expect(valueOf(args, 'option:classless-static-route')).toEqual(['0.0.0.0/0', '10.244.1.1', '10.96.0.0/12', '10.244.1.2']);
  });

  it('on the link is no router', () => {
    const args = withRoutes([{ destination: '0.0.0.0/0' }]);
    expect(valueOf(args, 'option:router')).toEqual([]);
    expect(valueOf(args, 'option:classless-static-route')).toEqual(['0.0.0.0/0', '0.0.0.0']);
  });
});

describe('what an option cannot hold', () => {
  it('is first of all routes that the default route makes needless', () => {
    const needless = Array.from({ length: 40 }, (_, index) => ({ destination: `198.51.${index}.0/24`, gateway: '10.244.1.1' }));
    const needed = Array.from({ length: 20 }, (_, index) => ({ destination: `203.0.${index}.0/24`, gateway: '10.244.1.9' }));
    const onLink = { destination: '169.254.1.1/32' };
    const routes =
      valueOf(
        withRoutes([...needless, ...needed, { destination: '0.0.0.0/0', gateway: '10.244.1.1' }, onLink]),
        'option:classless-static-route',
      ) ?? [];
    const destinations = routes.filter((_, index) => index % 2 === 0);
    expect(destinations.slice(0, 2)).toEqual(['0.0.0.0/0', onLink.destination]);
    expect(destinations.slice(2, 22)).toEqual(needed.map(({ destination }) => destination));
    // 9 + 5 bytes, then 8 for each /24: 30 fit into 255.
    expect(destinations).toHaveLength(32);
  });

  it('is never the default route, nor what its router is reached by', () => {
    const many = Array.from({ length: 40 }, (_, index) => ({ destination: `203.0.113.${index}/32` }));
    const router = { destination: '169.254.1.1/32' };
    const routes = valueOf(
      withRoutes([...many, router, { destination: '0.0.0.0/0', gateway: '169.254.1.1' }]),
      'option:classless-static-route',
    );
    expect(routes?.slice(0, 4)).toEqual([router.destination, '0.0.0.0', '0.0.0.0/0', '169.254.1.1']);
  });

  it('is known: servers, search domains, and routes that are needed', () => {
    const many = (network: string, gateway: string): GuestInterface['routes'] =>
      Array.from({ length: 40 }, (_, index) => ({ destination: `${network}.${index}.0/24`, gateway }));
    const routes = [...guest.routes, ...many('198.51', '10.244.1.1'), ...many('203.0', '10.244.1.9')];
    const dns = { servers: [], searches: ['a', 'b', 'c', 'd', 'e'].map((letter) => `${letter.repeat(60)}.`), options: [] };
    expect(untoldByDhcp({ interfaces: [{ ...guest, routes }, guest], dns })).toEqual({
      servers: [],
      searches: ['e'.repeat(60)],
      routes: Array.from({ length: 9 }, (_, index) => `203.0.${index + 31}.0/24`),
    });
    const plenty = [...guest.routes, ...many('198.51', '10.244.1.1')];
    expect(untoldByDhcp({ interfaces: [{ ...guest, routes: plenty }], dns: subject.dns })).toBeUndefined();
    const six = { ...guest, addresses: [{ cidr: 'fd00:244::7/64' }] };
    expect(untoldByDhcp({ interfaces: [six], dns })).toBeUndefined();
  });

  it('never makes an option longer than 255 bytes', () => {
    const route = fc.record({
      destination: fc.integer({ min: 1, max: 32 }).map((length) => `128.0.0.0/${length}`),
      gateway: fc.option(fc.ipV4(), { nil: undefined }),
    });
    const label = fc.stringMatching(/^[a-z]{1,20}$/);
    const search = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 80 }),
        fc.array(search, { maxLength: 32 }),
        fc.array(fc.ipV4(), { maxLength: 80 }),
        (routes, searches, servers) => {
          const dns = { servers, searches, options: [] };
          const told = routes.map(({ destination, gateway }) => ({ destination, ...(gateway === undefined ? {} : { gateway }) }));
          const args = argumentsFor({ interfaces: [{ ...guest, routes: told }], dns });
          const classless = (valueOf(args, 'option:classless-static-route') ?? []).filter((_, index) => index % 2 === 0);
          const bytes = classless.reduce((sum, destination) => sum + 5 + Math.ceil(Number(destination.split('/')[1]) / 8), 0);
          expect(bytes).toBeLessThanOrEqual(255);
          const encoded = (valueOf(args, 'option:domain-search') ?? []).reduce((sum, domain) => sum + domain.length + 2, 0);
          expect(encoded).toBeLessThanOrEqual(255);
          expect(valueOf(args, 'option:dns-server')?.length).toBe(Math.min(servers.length, 63));
        },
      ),
    );
  });
});
