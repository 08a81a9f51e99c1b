import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readyCondition } from '../../../src/model/condition.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon, type TestNode } from './node.ts';

const within = { timeoutMs: 30_000, what: 'change of condition' };

describe('a network that cannot be used', () => {
  const cases: readonly (readonly [string, string, (node: TestNode) => string])[] = [
    [
      'CNIConfigDirectoryMissing',
      'a directory that is missing',
      ({ confDir }) => {
        rmSync(confDir, { recursive: true });
        return `no CNI configuration directory ${confDir}`;
      },
    ],
    [
      'CNIConfigDirectoryUnreadable',
      'a directory that is none',
      ({ confDir }) => {
        rmSync(confDir, { recursive: true });
        writeFileSync(confDir, '');
        return `CNI configuration directory ${confDir} cannot be read: ENOTDIR`;
      },
    ],
    [
      'CNIConfigMissing',
      'an empty directory',
      ({ confDir }) => {
        writeFileSync(join(confDir, '10-calico.conflist.swp'), '{}');
        return `no .conflist, .conf or .json file in ${confDir}`;
      },
    ],
    [
      'CNIConfigInvalid',
      'bad JSON',
      ({ confDir }) => {
        writeFileSync(join(confDir, '10-broken.conf'), '{"name": "x",');
        return `no usable CNI configuration in ${confDir}: 10-broken.conf: not JSON`;
      },
    ],
    [
      'CNIConfigInvalid',
      'a link to nowhere',
      ({ confDir }) => {
        symlinkSync('/nonexistent', join(confDir, '10-link.conf'));
        return `no usable CNI configuration in ${confDir}: 10-link.conf: ENOENT`;
      },
    ],
    [
      'CNIPluginMissing',
      'a plugin that is not installed',
      (node) => {
        node.configure([bridgePlugin(node), { type: 'absent' }]);
        return `CNI network "testnet" in ${node.confDir} needs the plugin "absent", which is not in /nonexistent, ${node.binDir}`;
      },
    ],
    [
      'CNIPluginMissing',
      'a plugin that cannot be executed',
      (node) => {
        chmodSync(join(node.binDir, 'host-local'), 0o644);
        node.configure([bridgePlugin(node)]);
        return `CNI network "testnet" in ${node.confDir} needs the plugin "host-local"`;
      },
    ],
  ];
  it.each(cases)('says %s for %s, and is well again once that is mended', async (reason, _what, spoil) => {
    const node = makeNode();
    const message = spoil(node);
    const network = await node.open();
    const condition = network.condition();
    expect(condition).toMatchObject({ ready: false, reason });
    expect(condition.message).toContain(message);
    const code = reason === 'CNIPluginMissing' ? 'CNI_FAILED' : 'CNI_UNAVAILABLE';
    await expect(network.attach(request(), soon())).rejects.toMatchObject({ facts: { code } });
    expect(node.traces()).toMatchObject({ namespaces: [], leases: [] });
    rmSync(node.confDir, { recursive: true, force: true });
    mkdirSync(node.confDir);
    chmodSync(join(node.binDir, 'host-local'), 0o755);
    node.configure([bridgePlugin(node)]);
    await waitFor(() => network.condition().ready, within);
    expect(network.condition()).toEqual(readyCondition);
  });
});

it('follows the configuration directory', async () => {
  const node = makeNode();
  writeFileSync(join(node.confDir, '00-broken.conf'), '{"name": "x",');
  const network = await node.open();
  node.configure([bridgePlugin(node)]);
  await waitFor(() => network.condition().ready, within);
  expect(network.condition().message).toBe(`CNI configuration passed over in ${node.confDir}: 00-broken.conf: not JSON`);
  rmSync(join(node.confDir, '00-broken.conf'));
  await waitFor(() => network.condition().message === '', within);

  node.configure([{ type: 'absent' }], '05-first.conflist');
  await waitFor(() => network.condition().reason === 'CNIPluginMissing', within);
  rmSync(join(node.confDir, '05-first.conflist'));
  await waitFor(() => network.condition().ready, within);

  renameSync(node.confDir, `${node.confDir}.away`);
  await waitFor(() => network.condition().reason === 'CNIConfigDirectoryMissing', within);
  renameSync(`${node.confDir}.away`, node.confDir);
  await waitFor(() => network.condition().ready, within);
  rmSync(join(node.confDir, '10-test.conflist'));
  await waitFor(() => network.condition().reason === 'CNIConfigMissing', within);
});

it('uses a configuration that was installed a moment ago', async () => {
  const node = makeNode();
  const network = await node.open();
  node.configure([bridgePlugin(node)]);
  const wanted = request();
  expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
  await network.detach(wanted.sandboxId, soon());
});

it('uses the plugins in the folder of its network too, unless the list wants none', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const folder = join(node.confDir, 'testnet');
  mkdirSync(folder);
  writeFileSync(join(folder, '20-double.conf'), JSON.stringify({ type: 'double', journal: node.journal }));
  writeFileSync(join(folder, '30-note.txt'), 'no plugin');
  const [first, second] = [request(), request()];
  await network.attach(first, soon());
  expect(node.calls().map(({ input }) => [input['name'], input['cniVersion'], input['type']])).toEqual([['testnet', '1.0.0', 'double']]);

  writeFileSync(join(folder, '30-absent.conf'), '{"type": "absent"}');
  await waitFor(() => network.condition().reason === 'CNIPluginMissing', within);
  rmSync(join(folder, '30-absent.conf'));
  await waitFor(() => network.condition().ready, within);

  const list = { cniVersion: '1.0.0', name: 'testnet', loadOnlyInlinedPlugins: true, plugins: [bridgePlugin(node)] };
  writeFileSync(join(node.confDir, '10-test.conflist'), JSON.stringify(list));
  await network.attach(second, soon());
  await network.detach(second.sandboxId, soon());
  expect(node.calls()).toHaveLength(1);
  await network.detach(first.sandboxId, soon());
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
});
