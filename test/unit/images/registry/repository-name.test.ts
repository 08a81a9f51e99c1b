import { describe, expect, test } from 'vitest';
import { parseReference, splitName } from '../../../../src/images/reference.ts';
import { apiHostOf, credentialHostOf, repositoryNameOf } from '../../../../src/images/registry/repository-name.ts';

const digest = `sha256:${'0'.repeat(64)}`;

test.each([
  ['cirros', 'docker.io', 'library/cirros', 'latest'],
  ['vms/cirros:1', 'docker.io', 'vms/cirros', '1'],
  ['docker.io/cirros', 'docker.io', 'library/cirros', 'latest'],
  ['index.docker.io/cirros', 'docker.io', 'library/cirros', 'latest'],
  ['registry.example/cirros', 'registry.example', 'cirros', 'latest'],
  ['Registry.Example:5000/a/b:c', 'registry.example:5000', 'a/b', 'c'],
  ['localhost/a', 'localhost', 'a', 'latest'],
  ['[::1]:5000/a', '[::1]:5000', 'a', 'latest'],
  ['a.b__c/d', 'docker.io', 'a.b__c/d', 'latest'],
  [`registry.example/a:b@${digest}`, 'registry.example', 'a', digest],
])('%s lies at %s as %s, %s', (text, host, repository, tagOrDigest) => {
  expect(repositoryNameOf(parseReference(text))).toEqual({ host, repository, tagOrDigest });
});

test('docker.io answers elsewhere', () => {
  expect(apiHostOf('docker.io')).toBe('registry-1.docker.io');
  expect(apiHostOf('registry.example:5000')).toBe('registry.example:5000');
});

test('a name without a host has none', () => {
  expect(splitName('vms/cirros')).toEqual({ host: undefined, path: 'vms/cirros' });
  expect(splitName('Registry.example/cirros')).toEqual({ host: 'Registry.example', path: 'cirros' });
});

describe('whom credentials are for', () => {
  test.each([
    ['https://index.docker.io/v1/', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['docker.io', 'docker.io'],
    ['https://Registry.Example', 'registry.example'],
    ['registry.example:443', 'registry.example'],
    ['http://registry.example:5000/v2/?x', 'registry.example:5000'],
    ['https://registry.example.evil.example/', 'registry.example.evil.example'],
  ])('%s: %s', (address, host) => {
    expect(credentialHostOf(address)).toBe(host);
  });
});
