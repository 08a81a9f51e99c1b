import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guestInterface, guestRoutes, pathMtuOf } from '../../../../src/network/links/guest-interface.ts';
import { parseLinkState, type LinkRoute } from '../../../../src/network/links/link-state.ts';
import { stateOf, toldState } from './link-states.ts';

describe('guestInterface', () => {
  it('of the bridge plugin has its subnet on the link', () => {
    const { addresses, routes } = guestInterface(stateOf('bridge'), [
      { cidr: '10.213.7.2/24', gateway: '10.213.7.1' },
      { cidr: 'fd00:213:7::2/64', gateway: 'fd00:213:7::1' },
    ]);
    expect(addresses).toEqual([
      { cidr: '10.213.7.2/24', gateway: '10.213.7.1' },
      { cidr: 'fd00:213:7::2/64', gateway: 'fd00:213:7::1' },
    ]);
    expect(routes).toEqual([
      { destination: '0.0.0.0/0', gateway: '10.213.7.1' },
      { destination: '192.0.2.0/24', gateway: '10.213.7.1' },
      { destination: '::/0', gateway: 'fd00:213:7::1' },
    ]);
  });

  it('of the ptp plugin has nothing on the link but the gateway', () => {
    const { addresses, routes } = guestInterface(stateOf('ptp'), [
      { cidr: '10.213.7.3/24', gateway: '10.213.7.1' },
      { cidr: 'fd00:213:7::3/64' },
    ]);
    expect(addresses).toEqual([{ cidr: '10.213.7.3/32', gateway: '10.213.7.1' }, { cidr: 'fd00:213:7::3/128' }]);
    expect(routes).toContainEqual({ destination: '10.213.7.1/32' });
    expect(routes).toContainEqual({ destination: '10.213.7.0/24', gateway: '10.213.7.1' });
    expect(routes).toContainEqual({ destination: 'fd00:213:7::1/128' });
  });

  it('of Calico has the routes that its result leaves out', () => {
    expect(guestInterface(stateOf('calico'), [{ cidr: '192.168.88.5/32' }])).toEqual({
      name: 'eth0',
      mac: 'ee:ee:ee:00:00:05',
      mtu: 1440,
      addresses: [{ cidr: '192.168.88.5/32' }],
      routes: [{ destination: '0.0.0.0/0', gateway: '169.254.1.1' }, { destination: '169.254.1.1/32' }],
    });
  });

  it('has no routes of other tables', () => {
    const state = parseLinkState(
      toldState({
        routes4: [
          { dst: '10.9.0.0/16', table: 100 },
          { dst: '10.8.0.0/16', table: 'main' },
        ],
      }),
    );
    expect(guestInterface(state, []).routes).toEqual([{ destination: '10.8.0.0/16' }]);
  });

  it('has no gateway of another family', () => {
    const via = { family: 'inet6', host: 'fe80::1' };
    const state = parseLinkState(toldState({ routes4: [{ dst: 'default', via }] }));
    expect(guestInterface(state, []).routes).toEqual([{ destination: '0.0.0.0/0' }]);
  });

  it('gives every address its own text and one of two lengths', () => {
    const state = stateOf('bridge');
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, length) => {
        const [only] = guestInterface(state, [{ cidr: `${address}/${length}` }]).addresses;
        expect([`${address}/${length}`, `${address}/32`]).toContain(only?.cidr);
      }),
    );
  });
});

const over = (dst: string, gateway: string, more: Partial<LinkRoute> = {}): LinkRoute => ({
  dst,
  gateway,
  family: dst.includes(':') || gateway.includes(':') ? 6 : 4,
  ...more,
});

describe('the routes that a guest is told', () => {
  it('have the metric that somebody chose, not the kernel’s', () => {
    const routes = [
      over('10.0.0.0/8', '10.1.0.1', { metric: 7 }),
      over('10.2.0.0/16', '10.1.0.1'),
      over('fd00:1::/64', 'fd00::1', { metric: 1024 }),
      over('fd00:2::/64', 'fd00::1', { metric: 5 }),
    ];
    expect(guestRoutes(routes)).toEqual([
      { destination: '10.0.0.0/8', gateway: '10.1.0.1', metric: 7 },
      { destination: '10.2.0.0/16', gateway: '10.1.0.1' },
      { destination: 'fd00:1::/64', gateway: 'fd00::1' },
      { destination: 'fd00:2::/64', gateway: 'fd00::1', metric: 5 },
    ]);
  });

  it('are one for each destination: that which the kernel prefers', () => {
    const routes = [
      over('default', '10.1.0.9', { metric: 200 }),
      over('default', 'fd00::9', { metric: 1024 }),
      over('default', '10.1.0.1', { metric: 100 }),
      over('default', 'fd00::1', { metric: 1023 }),
      over('10.9.0.0/16', '10.1.0.2', { metric: 3 }),
      over('10.9.0.0/16', '10.1.0.3'),
    ];
    expect(guestRoutes(routes)).toEqual([
      { destination: '0.0.0.0/0', gateway: '10.1.0.1', metric: 100 },
      { destination: '::/0', gateway: 'fd00::1', metric: 1023 },
      { destination: '10.9.0.0/16', gateway: '10.1.0.3' },
    ]);
  });
});

describe('the MTU that a guest is told', () => {
  const metrics = (mtu?: number): Partial<LinkRoute> => ({ metrics: [mtu === undefined ? { advmss: 1360 } : { mtu }] });
  it.each<readonly [string, readonly LinkRoute[], number | undefined]>([
    ['nothing else without routes', [], undefined],
    ['nothing else where no route has one', [over('default', '10.1.0.1', metrics())], undefined],
    ['that of an overlay’s default route', [over('default', '10.1.0.1', metrics(1450)), over('10.2.0.0/16', '10.1.0.1')], 1450],
    ['the least of several', [over('default', '10.1.0.1', metrics(1450)), over('default', 'fd00::1', metrics(1430))], 1430],
    ['never more than the device takes', [over('default', '10.1.0.1', metrics(9000))], undefined],
    ['never less than IPv6 needs', [over('10.2.0.0/16', '10.1.0.1', metrics(576))], 1280],
  ])('is %s', (_what, routes, told) => {
    expect(pathMtuOf(1500, routes)).toBe(told);
  });

  it('is the device’s where that is less than IPv6 needs', () => {
    expect(pathMtuOf(1000, [over('default', '10.1.0.1', metrics(576))])).toBeUndefined();
  });
});
