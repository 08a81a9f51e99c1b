import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readyCondition } from '../../../src/model/condition.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon } from './node.ts';

it('follows the configuration directory', async () => {
  const node = makeNode();
  rmSync(node.confDir, { recursive: true });
  const network = await node.open();
  const within = { timeoutMs: 10_000, what: 'change of condition' };
  expect(network.condition()).toMatchObject({ ready: false, reason: 'NetworkPluginNotReady' });
  expect(network.condition().message).toContain(`no usable CNI configuration in ${node.confDir}`);
  await expect(network.attach(request(), soon())).rejects.toThrow(`no usable CNI configuration in ${node.confDir}`);

  mkdirSync(node.confDir);
  await waitFor(() => network.condition().message.includes('no .conflist, .conf or .json file'), within);
  writeFileSync(join(node.confDir, '00-broken.conf'), '{"name": "x",');
  await waitFor(() => network.condition().message.includes('00-broken.conf: not JSON'), within);

  node.configure([bridgePlugin(node)]);
  await waitFor(() => network.condition().ready, within);
  expect(network.condition().message).toContain('passed over');
  rmSync(join(node.confDir, '00-broken.conf'));
  await waitFor(() => network.condition().message === '', within);
  expect(network.condition()).toEqual(readyCondition);

  node.configure([{ type: 'absent' }], '05-first.conflist');
  await waitFor(() => network.condition().message.includes('needs the plugin "absent"'), within);
  rmSync(join(node.confDir, '05-first.conflist'));
  await waitFor(() => network.condition().ready, within);

  renameSync(node.confDir, `${node.confDir}.away`);
  await waitFor(() => !network.condition().ready, within);
  renameSync(`${node.confDir}.away`, node.confDir);
  await waitFor(() => network.condition().ready, within);
  rmSync(join(node.confDir, '10-test.conflist'));
  await waitFor(() => !network.condition().ready, within);
});

it('uses a configuration that was installed a moment ago', async () => {
  const node = makeNode();
  const network = await node.open();
  node.configure([bridgePlugin(node)]);
  const wanted = request();
  expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
  await network.detach(wanted.sandboxId, soon());
});
