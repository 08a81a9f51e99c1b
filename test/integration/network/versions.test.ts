import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readyCondition } from '../../../src/model/condition.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon, type TestNode } from './node.ts';

/** A list that offers several versions, with a double behind a plugin. */
function offer(node: TestNode, cniVersions: readonly string[], plugin: object): void {
  const plugins = [plugin, { type: 'picky', journal: node.journal }];
  writeFileSync(join(node.confDir, '10-test.conflist'), JSON.stringify({ cniVersion: '1.0.0', cniVersions, name: 'testnet', plugins }));
}

/** Installs the double under another name; it answers VERSION with what it speaks, or not at all. */
function installPicky(node: TestNode, speaks?: readonly string[]): void {
  const answer = speaks ? `echo '${JSON.stringify({ cniVersion: '1.0.0', supportedVersions: speaks })}'` : 'exit 1';
  const file = join(node.binDir, 'picky');
  writeFileSync(
    file,
    `#!/bin/sh\n[ "$CNI_COMMAND" != VERSION ] || { echo asked >> ${node.dir}/asked; ${answer}; exit; }\nexec ${node.binDir}/double\n`,
  );
  chmodSync(file, 0o755);
}

async function versionOfAdd(node: TestNode, network: Awaited<ReturnType<TestNode['open']>>): Promise<unknown> {
  const wanted = request();
  await network.attach(wanted, soon());
  await network.detach(wanted.sandboxId, soon());
  return node.calls().at(-1)?.input['cniVersion'];
}

it('a network whose plugins do not speak its version is not ready, and says which', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)], undefined, '1.1.0');
  const network = await node.open();
  expect(network.condition()).toMatchObject({ ready: false, reason: 'CNIVersionUnsupported' });
  expect(network.condition().message).toContain('is of version 1.1.0, which the plugin "bridge" does not speak');
  node.configure([bridgePlugin(node)]);
  await waitFor(() => network.condition().ready, { timeoutMs: 10_000, what: 'a version that is spoken' });
  expect(network.condition()).toEqual(readyCondition);
});

it('of the versions of a list the highest is spoken that its plugins speak, now and after an upgrade', async () => {
  const node = makeNode();
  installPicky(node, ['0.3.1', '0.4.0']);
  offer(node, ['0.4.0', '1.0.0', '1.1.0'], bridgePlugin(node)); // Debian's plugins end at 1.0.0
  const network = await node.open();
  expect(network.condition()).toEqual(readyCondition);
  expect(await versionOfAdd(node, network)).toBe('0.4.0');
  installPicky(node, ['0.4.0', '1.0.0', '1.1.0']);
  expect(await versionOfAdd(node, network)).toBe('1.0.0');
  expect(network.condition()).toEqual(readyCondition);
  installPicky(node);
  expect(await versionOfAdd(node, network)).toBe('1.0.0');
  expect(node.inside('cat', join(node.dir, 'asked'))).toBe('asked\n'.repeat(3)); // once for each program that was there
  expect(node.traces()).toMatchObject({ leases: [], records: [], cached: [], processes: [] });
});
