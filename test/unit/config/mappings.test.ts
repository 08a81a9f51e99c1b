import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, loadMappings, type Mappings } from '../../../src/config/config.ts';
import { tempDir } from '../../lib/temp.ts';

function load(files: Readonly<Record<string, string>>, images: object = {}): Mappings {
  const dir = tempDir();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return loadMappings(imagesConfig({ mappingDir: dir, ...images }));
}

function imagesConfig(images: object) {
  const settings = Object.entries(images).map(([key, value]) => `images.${key}=${JSON.stringify(value)}`);
  return loadConfig({ file: '/nonexistent', fileRequired: false, dropInDir: '/nonexistent', environment: {}, settings }).images;
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ source, key, message }) => `${source.replace(/^.*\//, '')}|${key}|${message}`);
    throw error;
  }
  return [];
}

describe('mapping files', () => {
  it('stand behind images.sources in order of their names, each with its own transports before the shared ones', () => {
    const { mappings, shadowed } = load(
      {
        '20-b.yaml': 'sources: [{name: b, url: "https://h/b", transport: shared}]',
        '10-a.yaml': 'transports: {shared: {connectTimeout: 5s}, own: {maxRedirects: 0}}\nsources:\n  - {name: a, url: "https://h/a"}',
        'README.txt': 'no mapping',
        '.hidden.yaml': '[',
      },
      {
        sources: [{ name: 'c', url: 'https://h/c' }],
        transports: { shared: { connectTimeout: '7s', stallTimeout: '3s' } },
        stallTimeout: '9s',
      },
    );
    expect(mappings.map(({ from, sources }) => [from.replace(/^.*\//, ''), sources.map(({ name }) => name)])).toEqual([
      ['images.sources', ['c']],
      ['10-a.yaml', ['a']],
      ['20-b.yaml', ['b']],
    ]);
    const shared = mappings.map(({ transports }) => transports.get('shared'));
    expect(shared.map((each) => [each?.connectTimeoutMs, each?.stallTimeoutMs])).toEqual([
      [7_000, 3_000],
      [5_000, 9_000],
      [7_000, 3_000],
    ]);
    expect(mappings.map(({ transports }) => transports.get('own')?.maxRedirects)).toEqual([undefined, 0, undefined]);
    expect(shadowed).toEqual([]);
  });

  it('may be missing, empty, or links as a mounted ConfigMap has them', () => {
    expect(loadMappings(imagesConfig({ mappingDir: '/nonexistent' })).mappings).toHaveLength(1);
    const dir = tempDir();
    mkdirSync(join(dir, '..data_1'));
    writeFileSync(join(dir, '..data_1', 'a.yaml'), '# nothing');
    symlinkSync('..data_1', join(dir, '..data'));
    symlinkSync('..data/a.yaml', join(dir, 'a.yaml'));
    expect(loadMappings(imagesConfig({ mappingDir: dir })).mappings.map(({ sources }) => sources.length)).toEqual([0, 0]);
  });

  it('tell what an earlier one shadows', () => {
    const { shadowed } = load(
      { '1.yaml': 'sources: [{name: "a:latest", url: "https://h/1"}]', '2.yaml': 'sources: [{name: a, url: "https://h/2"}]' },
      { sources: [{ name: 'a', url: 'https://h/0' }] },
    );
    expect(shadowed.map(({ name, from, by }) => [name, from.replace(/^.*\//, ''), by])).toEqual([
      ['a:latest', '1.yaml', 'images.sources'],
      ['a', '2.yaml', 'images.sources'],
    ]);
  });

  it('tell all problems at once with file, line and key', () => {
    const found = problemsOf(() =>
      load({
        '1.yaml': [
          'sources:',
          '  - name: a',
          '    url: https://h/a',
          '  - name: a:latest',
          '    url: https://h/a',
          '    transport: none',
          'transports:',
          '  x:',
          '    ca: /nonexistent/ca.pem',
        ].join('\n'),
        '2.yaml': 'sources:\n  - name: b\n    url: ftp://h/b\n    sha256: zz\nsurprise: 1\n',
        '3.yaml': 'sources:\n  - [\n',
        '4.yaml': '- a',
        '5.yaml': 'a: &a [x]\nb: [*a, *missing]',
        '6.yaml': `a: &a [x]\nb: &b [${'*a,'.repeat(99)}]\nc: [${'*b,'.repeat(99)}]`,
        '7.yml': '',
      }),
    );
    expect(found).toEqual(
      expect.arrayContaining([
        '1.yaml:4|sources.1.name|is mapped by sources.0 already',
        '1.yaml:6|sources.1.transport|"none" is no key of transports',
        expect.stringMatching(/^1\.yaml:9\|transports\.x\.ca\|\/nonexistent\/ca\.pem: ENOENT/),
        expect.stringMatching(/^2\.yaml:4\|sources\.0\.sha256\|must be 64/),
        '2.yaml:5|surprise|is not a key of a mapping file',
        expect.stringMatching(/^3\.yaml:[0-9]\|\|./),
        expect.stringMatching(/^4\.yaml:1\|\|./),
        expect.stringMatching(/^5\.yaml(:2)?\|\|.*alias/i),
        expect.stringMatching(/^6\.yaml\|\|.*alias/i),
        '7.yml||must end in .yaml to be read',
      ]),
    );
  });

  it('are small regular files', () => {
    expect(problemsOf(() => load({ '1.yaml': `# ${'x'.repeat(2 ** 20)}` }))).toEqual(['1.yaml||is larger than 1048576 bytes']);
    const dir = tempDir();
    mkdirSync(join(dir, 'dir.yaml'));
    symlinkSync('/dev/zero', join(dir, 'zero.yaml'));
    expect(problemsOf(() => loadMappings(imagesConfig({ mappingDir: dir })))).toEqual([
      'dir.yaml||is not a regular file',
      'zero.yaml||is not a regular file',
    ]);
  });
});

describe('lines of images.sources', () => {
  const problem = (...sources: object[]): string => problemsOf(() => imagesConfig({ sources })).join('\n');
  it.each([
    [{ url: 'https://$1/x' }, 'sources.0.url|$1 ... may stand in path and query only'],
    [{ url: 'https://h$1/x' }, 'sources.0.url|$1 ... may stand in path and query only'],
    [{ url: 'https:///$1' }, 'sources.0.url|names no host'],
    [{ url: 'file:///$1' }, 'sources.0.url|$1 ... may stand only below a directory'],
    [{ url: 'file:///srv/../$1' }, 'sources.0.url|must be a path without'],
    [{ url: 'file:///srv/a%2Fb' }, 'sources.0.url|must be a path without'],
    [{ url: 'file:///srv/a?b' }, 'sources.0.url|must be a path without'],
    [{ url: 'file://host/srv' }, 'must be an address that begins with'],
    [{ url: 'https://h/$2' }, 'sources.0.url|uses $2, and match has 1 group'],
    [{ url: 'file:///srv/x', transport: 'x' }, 'sources.0.transport|is for https:// and http:// addresses only'],
    [{ url: 'https://h/', transport: 'constructor' }, 'sources.0.transport|"constructor" is no key of transports'],
    [{ url: 'https://h/', match: 'a)|(?:b' }, 'sources.0.match|is not a regular expression'],
  ])('%j', (fields, message) => {
    expect(problem({ match: 'x/(.*)', ...fields })).toContain(message);
  });

  it('names with digest, with upper case, or twice', () => {
    expect(problem({ name: `a@sha256:${'0'.repeat(64)}`, url: 'https://h/' })).toContain('sources.0.name|must be an image name');
    for (const name of ['Fedora', 'a//b', 'a..b', '-a', 'a/', 'a:', 'h.example:x/a', '', 'x'.repeat(400)])
      expect(problem({ name, url: 'https://h/' })).toContain('sources.0.name|must be an image name');
    for (const name of ['a', 'a/b__c.d-e:V1', 'h.example/a', 'H.example:5000/a', '[::1]:5000/a:x', 'virtlet.cloud/cirros'])
      expect(problem({ name, url: 'https://h/' })).toBe('');
    const twice = { name: 'h.example:5000/a', url: 'https://h/' };
    expect(problem(twice, { ...twice, name: 'h.example:5000/a:latest' })).toContain('sources.1.name|is mapped by sources.0 already');
    expect(problem(twice, { ...twice, name: 'h.example:5000/a:2' })).toBe('');
  });
});

describe('other keys of images', () => {
  it.each([
    [{ urlHosts: ['h.example', 'http://h.example:80'] }, 'urlHosts.1|names a host again'],
    [{ urlHosts: ['127.1'] }, 'urlHosts.0|is not a host as URLs spell it'],
    [{ urlHosts: ['h.example:70000'] }, 'urlHosts.0|is not a host as URLs spell it'],
    [{ urlHosts: ['https://h.example'] }, 'urlHosts.0|must be a host name'],
    [{ transports: { a: { proxy: 'https://p' } } }, 'transports.a.proxy|must be http://'],
    [{ transports: { a: { proxy: 'http://p/path' } } }, 'transports.a.proxy|must be http://'],
    [{ transports: { a: { clientKey: '/k.pem' } } }, 'transports.a|clientCertificate and clientKey must be given together'],
    [{ transports: { a: { maxRedirects: 21 } } }, 'transports.a.maxRedirects|'],
  ])('%j', (images, message) => {
    expect(problemsOf(() => imagesConfig(images)).join('\n')).toContain(message);
  });

  it('take hosts with and without port', () => {
    expect(imagesConfig({ urlHosts: ['a.example', 'b.example:443', 'http://c.example:8080', '10.0.0.1'] }).urlHosts).toHaveLength(4);
  });
});
