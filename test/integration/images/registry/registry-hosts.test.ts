import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { plainTransport } from '../../../../src/images/http/transport.ts';
import { keepTlsSettings } from '../../../../src/images/registry/host-certificates.ts';
import { readRegistryHosts } from '../../../../src/images/registry/registry-hosts.ts';
import type { RegistryHost } from '../../../../src/images/registry/registry-host.ts';
import { makeAuthority } from '../../../lib/certificates.ts';
import { hostsDirOf } from '../../../lib/registry-hosts.ts';

async function read(hostsDir: string, host = 'registry.example:5000'): Promise<readonly RegistryHost[]> {
  return readRegistryHosts(host, { hostsDir, transport: plainTransport, sameTls: keepTlsSettings() });
}

function urlsOf(hosts: readonly RegistryHost[]): readonly string[] {
  return hosts.map(({ url }) => url.href);
}

describe('where a registry’s configuration is looked for', () => {
  const toml = (name: string): string => `server = "https://${name}.example"\n`;

  test('in its own directory with underscores, with a colon, then in the one for all', async () => {
    const all = {
      'registry.example_5000_/hosts.toml': toml('underscores'),
      'registry.example:5000/hosts.toml': toml('colon'),
      'registry.example/hosts.toml': toml('port'),
      '_default/hosts.toml': toml('default'),
    };
    const { 'registry.example_5000_/hosts.toml': _first, ...rest } = all;
    const { 'registry.example:5000/hosts.toml': _second, ...last } = rest;
    expect(urlsOf(await read(hostsDirOf(all)))).toEqual(['https://underscores.example/v2']);
    expect(urlsOf(await read(hostsDirOf(rest)))).toEqual(['https://colon.example/v2']);
    const [fromDefault] = await read(hostsDirOf(last));
    expect(fromDefault).toMatchObject({ isConfigured: true, isRegistryItself: false });
    expect(fromDefault?.url.href).toBe('https://default.example/v2');
  });

  test('nowhere is fine', async () => {
    for (const hostsDir of ['/nonexistent/certs.d', hostsDirOf({ 'other.example/hosts.toml': 'not read' })]) {
      const hosts = await read(hostsDir);
      expect(urlsOf(hosts)).toEqual(['https://registry.example:5000/v2']);
      expect(hosts[0]).toMatchObject({ isConfigured: false, isRegistryItself: true, canPull: true, canResolve: true });
    }
    expect(urlsOf(await read('/nonexistent', 'docker.io'))).toEqual(['https://registry-1.docker.io/v2']);
  });

  test('the registry itself comes last where no server is named', async () => {
    const hosts = await read(hostsDirOf({ 'docker.io/hosts.toml': '[host."http://10.0.0.1:5000"]\n' }), 'docker.io');
    expect(urlsOf(hosts)).toEqual(['http://10.0.0.1:5000/v2', 'https://registry-1.docker.io/v2']);
    expect(hosts.map(({ isRegistryItself }) => isRegistryItself)).toEqual([false, true]);
  });
});

describe('certificates', () => {
  test('by their names, where there is no hosts.toml', async () => {
    const authority = makeAuthority();
    const client = authority.issue({});
    const dir = 'registry.example:5000';
    const files = { [`${dir}/a.crt`]: authority.cert, [`${dir}/b.crt`]: authority.cert, [`${dir}/c.cert`]: client.cert };
    const [host] = await read(hostsDirOf({ ...files, [`${dir}/c.key`]: client.key, [`${dir}/README`]: 'hello' }));
    expect(host?.transport.tls).toEqual({
      ca: [authority.cert, authority.cert],
      certificates: [{ cert: client.cert, key: client.key }],
    });
    await expect(read(hostsDirOf(files))).rejects.toThrow(/c\.cert: needs c\.key beside it/);
    await expect(read(hostsDirOf({ [`${dir}/c.key`]: client.key }))).rejects.toThrow(/c\.key: needs c\.cert beside it/);
  });

  test('named in hosts.toml, relative to it', async () => {
    const authority = makeAuthority();
    const client = authority.issue({});
    const toml = `server = "https://a.example"\nca = ["sub/ca.pem", "${authority.certFile}"]\nclient = "both.pem"\n`;
    const [host] = await read(
      hostsDirOf({
        'registry.example:5000/hosts.toml': toml,
        'registry.example:5000/sub/ca.pem': authority.cert,
        'registry.example:5000/both.pem': `${client.cert}${client.key}`,
      }),
    );
    expect(host?.transport.tls.ca).toHaveLength(2);
    expect(host?.transport.tls.certificates).toHaveLength(1);
  });

  test.each([
    ['absent', {}, /absent\.pem: does not exist$/],
    ['no certificate', { 'absent.pem': 'hello' }, /absent\.pem: holds no certificate in PEM form$/],
    [
      'broken',
      { 'absent.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      /absent\.pem: holds no certificate in PEM form$/,
    ],
    ['large', { 'absent.pem': 'x'.repeat(2 ** 20 + 1) }, /absent\.pem: is larger than 1048576 bytes$/],
  ])('that are %s are refused by name', async (_name, files, message) => {
    const named = Object.fromEntries(Object.entries(files).map(([name, text]) => [`_default/${name}`, text]));
    await expect(read(hostsDirOf({ '_default/hosts.toml': 'ca = "absent.pem"\n', ...named }))).rejects.toThrow(message);
  });

  test('whose key is another one are refused', async () => {
    const authority = makeAuthority();
    const files = { '_default/c.cert': authority.issue({}).cert, '_default/c.key': authority.issue({}).key };
    await expect(read(hostsDirOf(files))).rejects.toThrow(/c\.cert: is no certificate in PEM form whose key is in .*c\.key$/);
  });
});

describe('what cannot be read', () => {
  test('a FIFO does not hold the pull up', async () => {
    const dir = hostsDirOf({ '_default/README': '' });
    execFileSync('mkfifo', [join(dir, '_default/hosts.toml')]);
    await expect(read(dir)).rejects.toThrow(/hosts\.toml: is not a regular file$/);
  });

  test('links are followed, those in a circle refused', async () => {
    const dir = hostsDirOf({ 'other/hosts.toml': 'server = "https://a.example"\n' });
    symlinkSync('other', join(dir, '_default'));
    expect(urlsOf(await read(dir))).toEqual(['https://a.example/v2']);
    symlinkSync('registry.example_5000_', join(dir, 'registry.example_5000_'));
    await expect(read(dir)).rejects.toThrow(/ELOOP/);
  });

  test('a directory in the file’s place, and too many files', async () => {
    const dir = hostsDirOf({});
    mkdirSync(join(dir, '_default/hosts.toml'), { recursive: true });
    await expect(read(dir)).rejects.toThrow(/hosts\.toml: is not a regular file$/);
    const many = Object.fromEntries(Array.from({ length: 201 }, (_, index) => [`_default/${index}.crt`, '']));
    await expect(read(hostsDirOf(many))).rejects.toThrow(/_default: holds more than 200 files$/);
  });
});

test('equal TLS settings are one object while they are in use', () => {
  const same = keepTlsSettings();
  const [first, ...others] = Array.from({ length: 40 }, (_, index) => same({ ca: [String(index)] }));
  expect(same({ ca: ['39'] })).toBe(others.at(-1));
  expect(same({ ca: ['0'] })).not.toBe(first);
});
