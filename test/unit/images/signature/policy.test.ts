import { describe, expect, test } from 'vitest';
import { acceptAll, canonicalRepository, requirementFor, type Policy, type Rule } from '../../../../src/images/signature/policy.ts';

const [accept, refuse]: readonly [Rule, Rule] = [{ kind: 'accept' }, { kind: 'refuse' }];

function policy(repositories: Readonly<Record<string, Rule>>, fallback: Rule = accept): Policy {
  return { default: fallback, repositories: new Map(Object.entries(repositories)) };
}

describe('the rule for a repository', () => {
  const written = policy({
    'registry.example': refuse,
    'registry.example/disks': accept,
    'registry.example/disks/old': refuse,
    debian: refuse,
    'other.example:5000/x': refuse,
  });

  test.each([
    ['registry.example/disks/old', 'refuse', 'registry.example/disks/old'],
    ['registry.example/disks/old/er', 'refuse', 'registry.example/disks/old'],
    ['registry.example/disks/older', 'accept', 'registry.example/disks'],
    ['registry.example/disks', 'accept', 'registry.example/disks'],
    ['registry.example/disks-old', 'refuse', 'registry.example'],
    ['registry.example.evil/disks', 'accept', 'default'],
    ['registry.example:444/disks', 'accept', 'default'],
    ['other.example/x', 'accept', 'default'],
    ['other.example:5000/x/y', 'refuse', 'other.example:5000/x'],
    ['debian', 'refuse', 'debian'],
    ['debian/x', 'refuse', 'debian'],
    ['x/debian', 'accept', 'default'],
  ])('%s: %s, by %s', (name, kind, scope) => {
    expect(requirementFor(written, name)).toEqual({ kind, scope });
  });

  test.each(['REGISTRY.example/disks/old', 'registry.example:443/disks/old', 'Registry.Example:443/disks/old/x'])(
    'another spelling of the host changes nothing: %s',
    (name) => {
      expect(requirementFor(written, name)).toEqual({ kind: 'refuse', scope: 'registry.example/disks/old' });
    },
  );

  test('without a policy all are taken', () => {
    expect(requirementFor(acceptAll, 'x.example/y')).toEqual({ kind: 'accept', scope: 'default' });
  });
});

test.each([
  ['disks/debian', 'disks/debian'],
  ['LOCALHOST/x', 'localhost/x'],
  ['[0:0::1]:5000/x', '[::1]:5000/x'],
  ['0x7f.1/x', '127.0.0.1/x'],
  ['registry.example:80/x', 'registry.example:80/x'],
  ['a.b__c/d', 'a.b__c/d'],
  ['debian', 'debian'],
  ['999.999.999.999/x', '999.999.999.999/x'],
])('%s is %s', (name, canonical) => {
  expect(canonicalRepository(name)).toBe(canonical);
});
