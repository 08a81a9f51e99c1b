import { expect, it } from 'vitest';
import { frameFilter, type FilteredNic } from '../../../src/network/frame-filter.ts';
import { expectGolden } from '../../lib/golden.ts';

const eth0: FilteredNic = {
  port: 'eth0',
  tap: 't0123456789abc',
  guest: {
    mac: '0a:58:0a:f4:01:07',
    addresses: [{ cidr: '10.244.1.7/24', gateway: '10.244.1.1' }, { cidr: 'fd00:244::7/64' }],
    routes: [{ destination: '::/0', gateway: 'fe80::ecee:eeff:feee:eeee' }],
  },
};
/** Of a network without IPAM. */
const net1: FilteredNic = { port: 'net1', tap: 't0123456789abc1', guest: { mac: '0a:58:0a:32:00:09', addresses: [], routes: [] } };

it('keeps address configuration in the pod, and lets guests speak for themselves alone', () => {
  expectGolden('network/frame-filter.nft', frameFilter([eth0, net1], true));
});

it('lets guests say anything where it is switched off', () => {
  const off = frameFilter([eth0], false);
  expect(off).not.toContain('prerouting');
  expect(off).toContain('iifname "eth0" udp sport { 67, 547 } drop');
});

it('has no rule about a family that the guest has no address of', () => {
  const guest = { ...eth0.guest, addresses: [{ cidr: 'fd00:244::7/64' }], routes: [] };
  expect(frameFilter([{ ...eth0, guest }], true)).not.toContain('ip saddr { }');
  expect(frameFilter([{ ...eth0, guest }], true)).toContain('arp saddr ip { 0.0.0.0 } accept');
});
