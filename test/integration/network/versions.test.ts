import { chmodSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { identify } from '../../../src/lib/helper-process.ts';
import { readyCondition } from '../../../src/model/condition.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon, type TestNode } from './node.ts';

/** A list that offers several versions, with a double behind a plugin. */
function offer(node: TestNode, cniVersions: readonly string[], plugin: object): void {
  const plugins = [plugin, { type: 'picky', journal: node.journal }];
  writeFileSync(join(node.confDir, '10-test.conflist'), JSON.stringify({ cniVersion: '1.0.0', cniVersions, name: 'testnet', plugins }));
}

const speaking = (supportedVersions: readonly string[]): string => `echo '${JSON.stringify({ cniVersion: '1.0.0', supportedVersions })}'`;

/** Installs the double under another name, which answers VERSION by a shell's command. */
function installPicky(node: TestNode, answer: string): void {
  const file = join(node.binDir, 'picky');
  writeFileSync(
    file,
    `#!/bin/sh\n[ "$CNI_COMMAND" != VERSION ] || { echo asked >> ${node.dir}/asked; ${answer}; exit; }\nexec ${node.binDir}/double\n`,
  );
  chmodSync(file, 0o755);
}

/** The processes that were asked for their version and did not answer. */
function pidsOf(node: TestNode): number[] {
  return readFileSync(join(node.dir, 'asking'), 'utf8').trim().split(/\s+/).map(Number);
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
  await waitFor(() => network.condition().ready, { timeoutMs: 20_000, what: 'a version that is spoken' });
  expect(network.condition()).toEqual(readyCondition);
});

it('of the versions of a list the highest is spoken that its plugins speak, now and after an upgrade', async () => {
  const node = makeNode();
  installPicky(node, speaking(['0.3.1', '0.4.0']));
  offer(node, ['0.4.0', '1.0.0', '1.1.0'], bridgePlugin(node)); // Debian's plugins end at 1.0.0
  const network = await node.open();
  expect(network.condition()).toEqual(readyCondition);
  expect(await versionOfAdd(node, network)).toBe('0.4.0');
  installPicky(node, speaking(['0.4.0', '1.0.0', '1.1.0']));
  expect(await versionOfAdd(node, network)).toBe('1.0.0');
  expect(network.condition()).toEqual(readyCondition);
  installPicky(node, 'exit 1');
  expect(await versionOfAdd(node, network)).toBe('1.0.0');
  expect(node.inside('cat', join(node.dir, 'asked'))).toBe('asked\n'.repeat(3)); // once for each program that was there
  expect(node.traces()).toMatchObject({ leases: [], records: [], cached: [], processes: [] });
});

/** Has a plugin answer VERSION no sooner than there is a file `awake`, as on a node that is busy. */
function putToSleep(node: TestNode, plugin: string): void {
  const file = join(node.binDir, plugin);
  const sleep = `echo $$ >> ${node.dir}/asking; until [ -e ${node.dir}/awake ]; do sleep 0.1; done`;
  const [shell, ...lines] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [shell, `[ "$CNI_COMMAND" != VERSION ] || { ${sleep}; }`, ...lines].join('\n'));
}

it('while a plugin has not answered the lowest version is spoken, which it may well speak; once it has, the highest', async () => {
  const node = makeNode();
  putToSleep(node, 'bridge');
  installPicky(node, speaking(['0.4.0', '1.0.0', '1.1.0']));
  offer(node, ['0.4.0', '1.0.0', '1.1.0'], bridgePlugin(node));
  const network = await node.open();
  expect(network.condition()).toEqual(readyCondition);
  expect(await versionOfAdd(node, network)).toBe('0.4.0');
  await waitFor(() => pidsOf(node).length === 2, { timeoutMs: 20_000, what: 'another question' });
  expect(await versionOfAdd(node, network)).toBe('0.4.0');
  expect(pidsOf(node)).toHaveLength(2); // a pod does not wait for that, nor ask anew
  writeFileSync(join(node.dir, 'awake'), '');
  await waitFor(async () => (await versionOfAdd(node, network)) === '1.0.0', { timeoutMs: 30_000, what: 'its answer' });
  expect(network.condition()).toEqual(readyCondition);
  expect(node.traces()).toMatchObject({ leases: [], records: [], cached: [], processes: [] });
});

it('a plugin that brings STATUS with its answer leaves the network ready until that is answered too', async () => {
  const node = makeNode();
  putToSleep(node, 'modern');
  writeFileSync(join(node.dir, 'status'), 'hang');
  const plugins = [bridgePlugin(node, { type: 'modern' })];
  const list = { cniVersion: '1.0.0', cniVersions: ['1.0.0', '1.1.0'], name: 'testnet', plugins };
  writeFileSync(join(node.confDir, '10-test.conflist'), JSON.stringify(list));
  const network = await node.open(3_000);
  expect(network.condition()).toEqual(readyCondition);
  writeFileSync(join(node.dir, 'awake'), '');
  await waitFor(() => existsSync(join(node.dir, 'calls')), { timeoutMs: 30_000, what: 'question for STATUS' });
  expect(network.condition()).toEqual(readyCondition);
  await waitFor(() => !network.condition().ready, { timeoutMs: 20_000, what: 'end of the question' });
  expect(network.condition().message).toContain('STATUS: no answer within 3000 ms');
});

it('a plugin that does not answer is not left behind; another program in its place is asked', async () => {
  const node = makeNode();
  installPicky(node, speaking(['0.4.0', '1.0.0']));
  putToSleep(node, 'picky');
  offer(node, ['0.4.0', '1.0.0'], bridgePlugin(node));
  const network = await node.open();
  await waitFor(() => pidsOf(node).length === 2, { timeoutMs: 20_000, what: 'a question in the background' });
  putToSleep(node, 'picky');
  await waitFor(() => pidsOf(node).length === 3, { timeoutMs: 20_000, what: 'a question of the other' });
  const asked = pidsOf(node);
  expect(asked.some(identify)).toBe(true);
  network.close();
  await waitFor(() => !asked.some(identify), { timeoutMs: 20_000, what: 'the end of what was asked' });
  expect(pidsOf(node)).toEqual(asked);
});

it('a plugin that is away for a while, and has not answered before, is asked when it is back', async () => {
  const node = makeNode();
  installPicky(node, speaking(['0.4.0', '1.0.0']));
  putToSleep(node, 'picky');
  offer(node, ['0.4.0', '1.0.0'], bridgePlugin(node));
  const [link, file] = [join(node.binDir, 'picky'), join(node.dir, 'picky')];
  renameSync(link, file);
  symlinkSync(file, link);
  const network = await node.open();
  rmSync(link); // as where a directory of plugins is switched, or mounted anew
  await waitFor(() => network.condition().reason === 'CNIPluginMissing', { timeoutMs: 20_000, what: 'that it is away' });
  await delay(3_000); // beyond the pause of one second, when it would have been asked again
  writeFileSync(join(node.dir, 'awake'), '');
  symlinkSync(file, link);
  await waitFor(async () => network.condition().ready && (await versionOfAdd(node, network)) === '1.0.0', {
    timeoutMs: 30_000,
    what: 'its answer',
  });
  expect(network.condition()).toEqual(readyCondition);
});
