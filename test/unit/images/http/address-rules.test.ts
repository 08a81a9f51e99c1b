import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mayConnect, publicRange, rangeOf } from '../../../../src/images/http/address-rules.ts';

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
    ['nonsense', 'unknown'],
    ['', 'unknown'],
  ])('%s is %s', (address, range) => {
    expect(rangeOf(address)).toBe(range);
  });
});

describe('where a redirect may lead', () => {
  test.each([
    ['127.0.0.1', publicRange, false],
    ['169.254.169.254', publicRange, false],
    ['::ffff:10.0.0.1', publicRange, false],
    ['64:ff9b::a00:1', publicRange, false],
    ['fd00::1', publicRange, false],
    ['', 'unknown', false],
    ['8.8.8.8', publicRange, true],
    ['8.8.8.8', 'loopback', true],
    ['10.2.2.2', '10.0.0.0/8', true],
    ['192.168.1.1', '10.0.0.0/8', false],
    ['127.0.0.1', '10.0.0.0/8', false],
    ['169.254.169.254', 'loopback', false],
    ['::1', 'loopback', true],
  ])('to %s from %s: %s', (address, first, expected) => {
    expect(mayConnect(address, first)).toBe(expected);
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
      expect(mayConnect(form(octets.join('.')), publicRange)).toBe(false);
    }),
  );
});
