import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { familyOf, netmaskOf, networkOf, parseCidr, widthOf } from '../../../src/network/address.ts';

const ipv4 = fc.record({ address: fc.ipV4(), length: fc.integer({ min: 0, max: 32 }) });
const ipv6 = fc.record({ address: fc.ipV6(), length: fc.integer({ min: 0, max: 128 }) });

describe('parseCidr', () => {
  it.each([
    ['10.1.2.3/24', { family: 4, address: '10.1.2.3', prefixLength: 24 }],
    ['0.0.0.0/0', { family: 4, address: '0.0.0.0', prefixLength: 0 }],
    ['FD00:0:0::00A/64', { family: 6, address: 'fd00::a', prefixLength: 64 }],
    ['::ffff:10.0.0.1/128', { family: 6, address: '::ffff:a00:1', prefixLength: 128 }],
  ])('reads %s', (text, expected) => {
    expect(parseCidr(text)).toEqual(expected);
  });

  it.each([
    ['no length', '10.1.2.3'],
    ['an empty length', '10.1.2.3/'],
    ['a length of the other family', '10.1.2.3/33'],
    ['too long an IPv6 length', 'fd00::1/129'],
    ['a sign', '10.1.2.3/+8'],
    ['a leading zero', '10.1.2.3/08'],
    ['a netmask', '10.1.2.3/255.255.255.0'],
    ['two lengths', '10.1.2.3/24/24'],
    ['octal address parts', '010.1.2.3/24'],
    ['a short address', '10.1/16'],
    ['a zone', 'fe80::1%eth0/64'],
    ['white space', ' 10.1.2.3/24'],
    ['a line feed', '10.1.2.3/24\n'],
    ['nothing', ''],
  ])('refuses %s', (_what, text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it('takes what it writes, for all addresses', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), ({ address, length }) => {
        const parsed = parseCidr(`${address}/${length}`);
        expect(parsed?.prefixLength).toBe(length);
        expect(parseCidr(`${parsed?.address}/${length}`)).toEqual(parsed);
        expect(familyOf(parsed?.address ?? '')).toBe(parsed?.family);
      }),
    );
  });

  it('answers for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f.:/%]{0,20}$/)), (text) =>
        [undefined, 4, 6].includes(parseCidr(text)?.family),
      ),
    );
  });
});

describe('networkOf', () => {
  it.each([
    ['10.1.2.3/24', '10.1.2.0/24'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['10.1.2.131/25', '10.1.2.128/25'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['fd00:1:2:3:4::5/48', 'fd00:1:2::/48'],
    ['fd00::5/128', 'fd00::5/128'],
  ])('of %s is %s', (text, network) => {
    const cidr = parseCidr(text);
    expect(cidr && networkOf(cidr)).toBe(network);
  });

  it('keeps the prefix and clears the rest', () => {
    fc.assert(
      fc.property(ipv4, ({ address, length }) => {
        const cidr = parseCidr(`${address}/${length}`);
        const [network = ''] = (cidr ? networkOf(cidr) : '').split('/');
        const mask = length === 0 ? 0n : (2n ** 32n - 1n) ^ (2n ** BigInt(32 - length) - 1n);
        expect(numberOf(network)).toBe(numberOf(address) & mask);
        expect(numberOf(netmaskOf(length))).toBe(mask);
      }),
    );
  });
});

it('knows the width of both families', () => {
  expect([widthOf(4), widthOf(6)]).toEqual([32, 128]);
  expect(['10.0.0.1', '::', 'fe80::1%2', 'localhost', ''].map((text) => familyOf(text))).toEqual([4, 6, undefined, undefined, undefined]);
});

function numberOf(address: string): bigint {
  return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}
