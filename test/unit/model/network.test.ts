import { expect, test } from 'vitest';
import { isSearchDomain } from '../../../src/model/network.ts';

const label = 'a'.repeat(63);
const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`;

test.each(['.', 'local', 'Svc.Cluster.local', '_tcp.example.com.', 'a-b_c', '1.2', label, longest, `${longest}.`])(
  '%j is a search domain',
  (text) => {
    expect(isSearchDomain(text)).toBe(true);
  },
);

const wrong = ['', '..', '.a', 'a..b', 'a..', '-a', 'a-', 'a.-b', 'a b', 'a,b', 'a\n', 'ä.example', '*'];
const tooLong = [`${label}a`, `b.${label}a.`, `${longest}a`, `${longest}a.`];

test.each([...wrong, ...tooLong])('%j is none', (text) => {
  expect(isSearchDomain(text)).toBe(false);
});
