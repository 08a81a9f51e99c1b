import { expect, it } from 'vitest';
import { frameFilter, type FilteredNic } from '../../../../src/network/filter/frame-filter.ts';
import { expectGolden } from '../../../lib/golden.ts';

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
  expect(off).toContain('udp sport { 67, 547 } drop');
  expect(off).toContain('ether saddr 0a:58:0a:f4:01:07 drop');
});

it('has no rule about a family that the guest has no address of', () => {
  const only = (cidr: string): string => frameFilter([{ ...eth0, guest: { ...eth0.guest, addresses: [{ cidr }], routes: [] } }], true);
  expect(only('fd00:244::7/64')).not.toMatch(/^ +(ip saddr \{|ether type arp)/m);
  expect(only('fd00:244::7/64')).toContain('ip6 saddr { fd00:244::7 } accept');
  expect(only('10.244.1.7/24')).not.toMatch(/^ +(ip6 saddr \{|@th,64,128)/m);
  expect(only('10.244.1.7/24')).toContain('ip saddr { 10.244.1.7 } accept');
  for (const cidr of ['fd00:244::7/64', '10.244.1.7/24']) expect(only(cidr)).not.toMatch(/\{ *\}/);
});
