import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mayConnect, parseNetwork, publicRange, rangeOf, type AddressContext } from '../../../../src/images/http/address-rules.ts';

describe('the range of an address', () => {
  test.each([
    ['8.8.8.8', 'public'],
    ['2a00:1450::1', 'public'],
    ['127.0.0.1', 'loopback'],
    ['127.255.0.9', 'loopback'],
    ['0.0.0.0', 'loopback'],
    ['::', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::127.0.0.1', 'loopback'],
    ['::ffff:0:127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['64:ff9b::a9fe:a9fe', 'linkLocal'],
    ['2002:7f00:1::', 'loopback'],
    ['2002:a00:1::1', '10.0.0.0/8'],
    ['::ffff:8.8.8.8', 'public'],
    ['64:ff9b::808:808', 'public'],
    ['64:ff9b:1::808:808', 'ipv6-rfc6052'],
    ['169.254.169.254', 'linkLocal'],
    ['fe80::1', 'ipv6-linkLocal'],
    ['fe80::1%eth0', 'ipv6-linkLocal'],
    ['fd00::1', 'ipv6-uniqueLocal'],
    ['10.1.2.3', '10.0.0.0/8'],
    ['172.31.255.255', '172.16.0.0/12'],
    ['172.32.0.1', 'public'],
    ['192.168.0.1', '192.168.0.0/16'],
    ['100.64.0.1', 'carrierGradeNat'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['2001:0:1::', 'ipv6-teredo'],
    ['100.100.100.200', 'cloudMetadata'],
    ['::ffff:168.63.129.16', 'cloudMetadata'],
    ['64:ff9b::c000:c0', 'cloudMetadata'],
    ['fd00:ec2::254', 'cloudMetadata'],
    ['fd20:ce::254', 'cloudMetadata'],
    ['64:ff9b:1::7f00:1', 'loopback'],
    ['64:ff9b:1:2::a9fe:a9fe', 'linkLocal'],
    ['nonsense', 'unknown'],
    ['', 'unknown'],
  ])('%s is %s', (address, range) => {
    expect(rangeOf(address)).toBe(range);
  });
});

const byName: AddressContext = { isNamed: false, referredFrom: undefined, allowed: [] };

function from(referredFrom: string): AddressContext {
  return { ...byName, referredFrom };
}

function allowing(...networks: readonly string[]): AddressContext {
  return { ...from(publicRange), allowed: networks.map(parseNetwork).filter((network) => network !== undefined) };
}

describe('where a host that was asked for may be', () => {
  test.each([
    ['8.8.8.8', true, true],
    ['10.1.2.3', true, true],
    ['fd00::1', true, true],
    ['127.0.0.1', false, true],
    ['::1', false, true],
    ['0.0.0.0', false, true],
    ['::ffff:127.0.0.1', false, true],
    ['64:ff9b::7f00:1', false, true],
    ['169.254.169.254', false, true],
    ['fe80::1%eth0', false, true],
    ['fd00:ec2::254', false, true],
    ['100.100.100.200', false, true],
    ['168.63.129.16', false, true],
    ['', false, false],
  ])('%s: by name %s, written so by the operator %s', (address, named, written) => {
    expect(mayConnect(address, byName)).toBe(named);
    expect(mayConnect(address, { ...byName, isNamed: true })).toBe(written);
  });
});

describe('where a redirect may lead', () => {
  test.each([
    ['127.0.0.1', publicRange, false],
    ['169.254.169.254', publicRange, false],
    ['168.63.129.16', publicRange, false],
    ['::ffff:10.0.0.1', publicRange, false],
    ['64:ff9b::a00:1', publicRange, false],
    ['fd00::1', publicRange, false],
    ['', 'unknown', false],
    ['10.0.0.1', 'unknown', false],
    ['8.8.8.8', 'unknown', true],
    ['8.8.8.8', publicRange, true],
    ['8.8.8.8', 'loopback', true],
    ['10.2.2.2', '10.0.0.0/8', true],
    ['192.168.1.1', '10.0.0.0/8', false],
    ['127.0.0.1', '10.0.0.0/8', false],
    ['169.254.169.254', 'loopback', false],
    ['::1', 'loopback', true],
  ])('to %s from %s: %s', (address, first, expected) => {
    expect(mayConnect(address, from(first))).toBe(expected);
  });
});

describe('networks that are allowed in any case', () => {
  test.each([
    ['127.0.0.1', ['127.0.0.0/8'], true],
    ['::ffff:127.0.0.1', ['127.0.0.0/8'], true],
    ['127.0.0.1', ['127.0.0.1'], true],
    ['127.0.0.2', ['127.0.0.1'], false],
    ['fe80::1%eth0', ['fe80::/10'], true],
    ['10.0.0.1', ['::/0'], false],
    ['64:ff9b::7f00:1', ['127.0.0.0/8'], false],
    ['nonsense', ['0.0.0.0/0'], false],
    ['10.0.0.1', ['nonsense', '10.0.0.0/33'], false],
  ])('%s with %j: %s', (address, networks, expected) => {
    expect(mayConnect(address, allowing(...networks))).toBe(expected);
  });
});

test('no form of a special IPv4 address is public', () => {
  const special = fc
    .tuple(fc.constantFrom([10], [127], [169, 254], [192, 168], [172, 16]), fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }))
    .map(([first, rest]) => [...first, ...rest].slice(0, 4));
  const forms = fc.constantFrom(
    (v4: string) => v4,
    (v4: string) => `::ffff:${v4}`,
    (v4: string) => `::${v4}`,
    (v4: string) => `64:ff9b::${v4}`,
    (v4: string) => `64:ff9b:1::${v4}`,
    (v4: string) => `::ffff:0:${v4}`,
  );
  fc.assert(
    fc.property(special, forms, (octets, form) => {
      expect(mayConnect(form(octets.join('.')), from(publicRange))).toBe(false);
    }),
  );
});
