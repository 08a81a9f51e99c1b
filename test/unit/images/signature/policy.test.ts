import { describe, expect, test } from 'vitest';
import {
  acceptAll,
  canonicalRepository,
  requirementFor,
  scopeKeys,
  type Policy,
  type Rule,
} from '../../../../src/images/signature/policy.ts';

const [accept, refuse]: readonly [Rule, Rule] = [{ kind: 'accept' }, { kind: 'refuse' }];

function policy(repositories: Readonly<Record<string, Rule>>, fallback: Rule = accept): Policy {
  const rules = Object.entries(repositories).flatMap(([scope, rule]) => scopeKeys(scope).map((key) => [key, { ...rule, scope }] as const));
  return { default: fallback, repositories: new Map(rules) };
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

  test.each([
    'debian',
    'docker.io/debian',
    'docker.io/library/debian',
    'library/debian',
    'index.docker.io/library/debian',
    'registry-1.docker.io/library/debian',
  ])('Docker Hub is one registry, whatever rule and reference call it: %s', (scope) => {
    for (const name of ['debian', 'library/debian', 'docker.io/debian', 'Docker.io/library/debian', 'index.docker.io/library/debian']) {
      expect(requirementFor(policy({ [scope]: refuse }), name)).toEqual({ kind: 'refuse', scope });
    }
    for (const name of ['registry.example/debian', 'registry.example/library/debian', 'other', 'x/debian']) {
      expect(requirementFor(policy({ [scope]: refuse }), name)).toMatchObject({ scope: 'default' });
    }
  });

  test('beginnings of names without host', () => {
    const short = policy({ disks: refuse, 'disks/debian': accept, 'docker.io/library': refuse, 'docker.io': accept });
    expect(requirementFor(short, 'disks/debian/12')).toMatchObject({ scope: 'disks/debian' });
    expect(requirementFor(short, 'disks/fedora')).toMatchObject({ scope: 'disks' });
    expect(requirementFor(short, 'cirros')).toMatchObject({ scope: 'docker.io/library' });
    expect(requirementFor(short, 'x/cirros')).toMatchObject({ scope: 'docker.io' });
  });

  test('without a policy all are taken', () => {
    expect(requirementFor(acceptAll, 'x.example/y')).toEqual({ kind: 'accept', scope: 'default' });
  });
});

test.each([
  ['disks/debian', 'docker.io/disks/debian'],
  ['debian', 'docker.io/library/debian'],
  ['debian.12', 'docker.io/library/debian.12'],
  ['docker.io/debian', 'docker.io/library/debian'],
  ['LOCALHOST/x', 'localhost/x'],
  ['[0:0::1]:5000/x', '[::1]:5000/x'],
  ['0x7f.1/x', '127.0.0.1/x'],
  ['registry.example:80/x', 'registry.example:80/x'],
  ['a.b__c/d', 'docker.io/a.b__c/d'],
  ['999.999.999.999/x', '999.999.999.999/x'],
])('%s is %s', (name, canonical) => {
  expect(canonicalRepository(name)).toBe(canonical);
});

test.each([
  ['registry.example', ['registry.example', 'docker.io/library/registry.example']],
  ['localhost:5000', ['localhost:5000']],
  ['Registry.example:443', ['registry.example']],
  ['registry.example/x', ['registry.example/x']],
  ['x/y', ['docker.io/x/y']],
  ['x', ['docker.io/library/x', 'docker.io/x']],
])('the scope %s stands for %s', (scope, keys) => {
  expect(scopeKeys(scope)).toEqual(keys);
});
