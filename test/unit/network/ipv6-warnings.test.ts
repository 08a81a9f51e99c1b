import { describe, expect, it } from 'vitest';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import type { GuestInterface } from '../../../src/model/network.ts';
import { makeIpv6Warnings, type Ipv6Warnings } from '../../../src/network/ipv6-warnings.ts';

const nic = (name: string, ...cidrs: readonly string[]): GuestInterface => ({
  name,
  mac: '0a:58:0a:f4:01:07',
  mtu: 1450,
  addresses: cidrs.map((cidr) => ({ cidr })),
  routes: [],
});

function makeWarnings(): { readonly warn: Ipv6Warnings; readonly events: readonly unknown[] } {
  const events: unknown[] = [];
  const log: Log = { ...silentLog, warn: (facts, message) => void events.push({ ...facts, message }) };
  return { warn: makeIpv6Warnings(log), events };
}

describe('a guest without cloud-init', () => {
  it('is warned of by each sandbox where it would have no address', () => {
    const { warn, events } = makeWarnings();
    for (const sandboxId of ['a', 'b']) warn({ sandboxId, network: 'six', interfaces: [nic('eth0', 'fd00:244::7/64')] });
    const message = 'a guest without cloud-init has no address here: there is only IPv6';
    expect(events).toEqual(['a', 'b'].map((sandboxId) => ({ sandboxId, network: 'six', interfaces: ['eth0'], message })));
  });

  it('is warned of once by each dual-stack network', () => {
    const { warn, events } = makeWarnings();
    const interfaces = [nic('eth0', '10.244.1.7/24', 'fd00:244::7/64')];
    for (const sandboxId of ['a', 'b']) for (const network of ['one', 'two']) warn({ sandboxId, network, interfaces });
    const message = 'guests without cloud-init get no IPv6 address in this dual-stack network; not told again';
    expect(events).toEqual(['one', 'two'].map((network) => ({ sandboxId: 'a', network, message })));
  });

  it('is warned of by interface where there are several', () => {
    const { warn, events } = makeWarnings();
    const interfaces = [nic('eth0', '10.244.1.7/24'), nic('net1', 'fd00:50::9/64'), nic('net2')];
    warn({ sandboxId: 'a', network: 'one', interfaces });
    expect(events).toMatchObject([{ sandboxId: 'a', interfaces: ['net1'] }]);
  });

  it('lacks nothing in a network of IPv4', () => {
    const { warn, events } = makeWarnings();
    warn({ sandboxId: 'a', network: 'one', interfaces: [nic('eth0', '10.244.1.7/24'), nic('net1')] });
    expect(events).toEqual([]);
  });
});
