import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isConfigFile, parseNetworkConfig, pluginFolderOf, programsOf, supportedCniVersions } from '../../../../src/network/cni/config.ts';

const plugin = { type: 'bridge', bridge: 'cni0', ipam: { type: 'host-local', subnet: '10.1.0.0/16' } };
const list = (more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [plugin, { type: 'portmap' }], ...more });
const problemOf = (file: string, text: string): string => {
  try {
    parseNetworkConfig(file, text);
  } catch (error) {
    return error instanceof Error ? error.message : 'no error';
  }
  return 'accepted';
};

describe('parseNetworkConfig', () => {
  it('reads a list, with every field of its plugins', () => {
    const parsed = parseNetworkConfig('10-pods.conflist', list({ disableCheck: true }));
    expect(parsed).toEqual({ name: 'pods', cniVersion: '1.0.0', plugins: [plugin, { type: 'portmap' }] });
  });

  it('makes a list of one of a single plugin', () => {
    const single = { cniVersion: '0.3.1', name: 'pods', ...plugin };
    expect(parseNetworkConfig('10-pods.conf', JSON.stringify(single))).toEqual({ name: 'pods', cniVersion: '0.3.1', plugins: [single] });
  });

  it('tells a list from a plugin in a .json by its field', () => {
    expect(parseNetworkConfig('a.json', list()).plugins).toHaveLength(2);
    expect(parseNetworkConfig('a.json', JSON.stringify({ cniVersion: '0.4.0', name: 'pods', type: 'ptp' })).plugins).toHaveLength(1);
  });

  it.each<readonly [object, string]>([
    [{ cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.1.0', '2.0.0'] }, '1.1.0'],
    [{ cniVersion: undefined, cniVersions: ['0.3.1', '0.4.0'] }, '0.4.0'],
    [{ cniVersion: '9.0.0', cniVersions: ['0.3.0'] }, '0.3.0'],
    ...supportedCniVersions.map((cniVersion) => [{ cniVersion }, cniVersion] as const),
  ])('of the versions in %j speaks %s', (versions, chosen) => {
    expect(parseNetworkConfig('a.conflist', list(versions)).cniVersion).toBe(chosen);
  });

  it.each([
    ['not JSON', '{"name": "x",'],
    ['document: ', '[]'],
    ['document: ', 'null'],
    ['name: must begin with a letter or digit', list({ name: '../etc' })],
    ['name: ', list({ name: undefined })],
    ['plugins: ', list({ plugins: [] })],
    ['plugins: ', list({ plugins: undefined })],
    ['plugins.0.type: ', list({ plugins: [{}] })],
    ['plugins.0.type: must be the file name of a plugin, without a path', list({ plugins: [{ type: '../../bin/sh' }] })],
    ['plugins.0.ipam.type: must be the file name', list({ plugins: [{ type: 'ptp', ipam: { type: '/bin/sh' } }] })],
    ['plugins.0.capabilities.dns: ', list({ plugins: [{ type: 'ptp', capabilities: { dns: 'yes' } }] })],
    ['cniVersion: is missing; accepted: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0', list({ cniVersion: undefined })],
    ['cniVersion: 0.2.0 is not supported; accepted: 0.3.0', list({ cniVersion: '0.2.0' })],
  ])('says "%s"', (problem, text) => {
    expect(problemOf('a.conflist', text).startsWith(problem)).toBe(true);
  });

  it('wants a plugin in a .conf and a list in a .conflist', () => {
    expect(problemOf('a.conf', list())).toContain('type: ');
    expect(problemOf('a.conflist', JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'ptp' }))).toContain('plugins: ');
  });

  it('accepts only what a runner can use, whatever the text', () => {
    const value = fc.record(
      {
        name: fc.oneof(fc.constant('pods'), fc.anything()),
        cniVersion: fc.oneof(fc.constantFrom(...supportedCniVersions), fc.anything()),
        plugins: fc.oneof(fc.array(fc.record({ type: fc.oneof(fc.constant('ptp'), fc.string()) })), fc.anything()),
      },
      { requiredKeys: [] },
    );
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      value.map((one) => JSON.stringify(one) ?? ''),
    );
    fc.assert(
      fc.property(text, fc.constantFrom('a.conf', 'a.conflist', 'a.json'), (source, file) => {
        if (problemOf(file, source) !== 'accepted') return;
        const { name, cniVersion, plugins } = parseNetworkConfig(file, source);
        expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
        expect(supportedCniVersions).toContain(cniVersion);
        expect(plugins.every(({ type }) => type !== '' && !type.includes('/'))).toBe(true);
        expect(plugins.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('the folder of a network’s plugins', () => {
  const files = [
    { name: '20-tuning.conf', text: '{"type": "tuning", "mtu": 1400}' },
    { name: '30-portmap.conf', text: '{"type": "portmap", "capabilities": {"portMappings": true}}' },
  ];
  const typesOf = (text: string, more = files): readonly string[] =>
    parseNetworkConfig('a.conflist', text, more).plugins.map(({ type }) => type);

  it.each<readonly [string, string, string | undefined]>([
    ['a.conflist', list(), 'pods'],
    ['a.conflist', list({ plugins: undefined }), 'pods'],
    ['a.json', list(), 'pods'],
    ['a.conflist', list({ loadOnlyInlinedPlugins: false }), 'pods'],
    ['a.conflist', list({ loadOnlyInlinedPlugins: true }), undefined],
    ['a.conflist', list({ loadOnlyInlinedPlugins: 'True' }), undefined],
    ['a.conflist', list({ name: '../etc' }), undefined],
    ['a.conflist', '{', undefined],
    ['a.conf', JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'ptp' }), undefined],
    ['a.json', JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'ptp' }), undefined],
  ])('of %s %s is %s', (file, text, folder) => {
    expect(pluginFolderOf(file, text)).toBe(folder);
  });

  it('adds to the list, or is the list', () => {
    expect(typesOf(list())).toEqual(['bridge', 'portmap', 'tuning', 'portmap']);
    expect(typesOf(list({ plugins: undefined }))).toEqual(['tuning', 'portmap']);
    expect(typesOf(list({ loadOnlyInlinedPlugins: true }))).toEqual(['bridge', 'portmap']);
    expect(parseNetworkConfig('a.conflist', list(), files).plugins.at(-1)).toEqual({
      type: 'portmap',
      capabilities: { portMappings: true },
    });
  });

  it.each<readonly [string, string, object]>([
    ['pods/20.conf: type: ', list(), { text: '{"mtu": 1400}' }],
    ['pods/20.conf: not JSON', list(), { text: '{' }],
    ['pods/20.conf: EACCES', list(), { problem: 'EACCES' }],
  ])('says "%s"', (problem, text, file) => {
    expect(() => typesOf(text, [{ name: '20.conf', ...file } as (typeof files)[number]])).toThrow(problem);
  });

  it.each([
    ['plugins: is missing, and the folder pods has no .conf file', list({ plugins: undefined })],
    ['plugins: is missing, though loadOnlyInlinedPlugins is true', list({ plugins: undefined, loadOnlyInlinedPlugins: true })],
    ['loadOnlyInlinedPlugins: ', list({ loadOnlyInlinedPlugins: 'maybe' })],
  ])('that is empty: "%s"', (problem, text) => {
    expect(() => typesOf(text, [])).toThrow(problem);
  });
});

it('names each program once, IPAM plugins included', () => {
  const ipam = { type: 'host-local' };
  const plugins = [{ type: 'bridge', ipam }, { type: 'portmap' }, { type: 'ptp', ipam }, { type: 'macvlan', ipam: {} }];
  expect(programsOf({ name: 'n', cniVersion: '1.0.0', plugins })).toEqual(['bridge', 'host-local', 'portmap', 'ptp', 'macvlan']);
});

it('reads the names that libcni reads', () => {
  const names = [
    '10-a.conf',
    '10-a.conflist',
    'a.json',
    '10-a.conflist.swp',
    '.conf~',
    'a.conf.bak',
    'README',
    'a.yaml',
    'calico-kubeconfig',
  ];
  expect(names.filter((name) => isConfigFile(name))).toEqual(['10-a.conf', '10-a.conflist', 'a.json']);
});
