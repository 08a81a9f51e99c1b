import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { expect, it, onTestFinished } from 'vitest';
import type { Network, NetworkOptions } from '../../../src/network/network.ts';
import { card, makeSysfs, type Sysfs } from '../../lib/sysfs.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, soon, type TestNode } from './node.ts';

/*
 * No machine of the tests has SR-IOV. The pod's interface that the CNI result calls a virtual function is one end of a veth; a tree of
 * files stands for sysfs, a recorded answer for the physical function's. Namespaces, moves, addresses, routes and plugins are real.
 */

const [, address] = card.functions;
const recorded = readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'network', 'physical-function.json'), 'utf8');

interface Card {
  readonly sysfs: Sysfs;
  readonly sriov: Required<Required<NetworkOptions>['sriov']>;
  /** A daemon on the node with the card. */
  readonly open: () => Promise<Network>;
}

function insertCard(node: TestNode, waitMs = 20_000): Card {
  const sysfs = makeSysfs(join(node.dir, 'sys'));
  const sriov = { sysfsDir: sysfs.dir, vfioDir: join(node.dir, 'vfio'), waitMs };
  return { sysfs, sriov, open: async () => node.open(undefined, undefined, { sriov }, { showLink: async () => recorded }) };
}

/** The usual plugin, whose interface is said to be the card's second function. */
function configureFunction(node: TestNode, more: object = {}): void {
  node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onAdd: 'devices', devices: { eth0: address }, ...more }]);
}

/** A pod whose interface is the card's function; `plugin` is what the second plugin of its network does besides saying so. */
async function makeFunctionPod({
  plugin = {},
  waitMs = 20_000,
}: { readonly plugin?: object; readonly waitMs?: number } = {}): Promise<FunctionPod> {
  const node = makeNode();
  configureFunction(node, plugin);
  const inserted = insertCard(node, waitMs);
  const network = await inserted.open();
  const { sandboxId } = request();
  const { netnsPath } = await network.attach(request({ sandboxId }), soon());
  return { node, inserted, network, sandboxId, netnsPath };
}

interface FunctionPod {
  readonly node: TestNode;
  readonly inserted: Card;
  readonly network: Network;
  readonly sandboxId: string;
  readonly netnsPath: string;
}

/** Does what libvirt does when a VM starts that has the function: its interface is no more. */
function startVm({ sysfs }: Card, netnsPath: string, name = 'eth0'): { readonly end: () => void } {
  const hidden = `tv${randomBytes(4).toString('hex')}`;
  run('nsenter', `--net=${netnsPath}`, 'ip', 'link', 'set', 'dev', name, 'netns', `/proc/${process.pid}/ns/net`, 'name', hidden);
  onTestFinished(() => void spawnSync('ip', ['link', 'del', 'dev', hidden]));
  sysfs.bind(address, 'vfio-pci');
  return {
    /** ... and when it ends: the driver makes an interface anew in the node's namespace, where udev or a user may set it up. */
    end: () => {
      run('ip', 'link', 'set', 'dev', hidden, 'address', '02:00:00:00:00:99', 'mtu', '1280', 'up');
      sysfs.bind(address, 'iavf');
      sysfs.show(address, [hidden]);
    },
  };
}

const inPod = (netnsPath: string): string => run('nsenter', `--net=${netnsPath}`, 'ip', '-br', 'link');

/** What the plugin saw of the pod's interface at DEL is what it had made; but for its index, which a device that comes anew has new. */
function expectAsAdded(node: TestNode): void {
  const [added, deleted] = node.calls().map(({ state }) => JSON.stringify(state).replaceAll(/"ifindex":[0-9]+,/g, ''));
  expect(deleted).toBe(added);
}

it('is handed over with its VLAN, without tap, bridge and DHCP, and is given back at each stop', async () => {
  const node = makeNode();
  configureFunction(node);
  const inserted = insertCard(node);
  const network = await inserted.open();
  const { sandboxId } = request();
  const { interfaces, netnsPath } = await network.attach(request({ sandboxId }), soon());
  expect(interfaces).toEqual([
    expect.objectContaining({
      name: 'eth0',
      addresses: [{ cidr: '10.213.7.2/24', gateway: '10.213.7.1' }],
      virtualFunction: { pciAddress: address, vlan: 100 },
    }),
  ]);
  for (const attempt of ['a', 'b']) {
    const tap = `t${attempt}${sandboxId.slice(0, 8)}`;
    await network.makeTap({ tap, interfaces, uid: 4711, queues: 1 }, soon());
    expect(run('ip', '-br', 'link')).not.toContain(tap);
    const vm = startVm(inserted, netnsPath);
    await network.joinTap(sandboxId, tap, soon());
    expect(inPod(netnsPath).trim().split('\n')).toHaveLength(1); // the loopback
    expect(await network.counters(sandboxId)).toBeUndefined();
    expect(run('nsenter', `--net=${netnsPath}`, 'ss', '-Hlnu')).toBe('');
    vm.end();
    await network.removeTap(sandboxId, tap, soon());
    expect(inPod(netnsPath)).toMatch(/^eth0/m);
    inserted.sysfs.show(address, []);
  }
  await network.detach(sandboxId, soon());
  expectAsAdded(node);
  expect(node.traces()).toEqual(nothing);
});

it('stands beside interfaces with taps, which are joined as ever; a daemon that finds the VM gone gives it back', async () => {
  const node = makeNode();
  const second = { ...bridgePlugin(node), name: 'testnet', bridge: 'cni-test2', ipMasq: false, isGateway: false };
  const ipam = { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges: [[{ subnet: '10.213.8.0/24' }]] };
  const delegates = [
    { name: 'testnet', ...bridgePlugin(node) },
    { ...second, ipam },
  ];
  node.configure([
    { type: 'several', delegates, tell: 'all' },
    { type: 'double', journal: node.journal, onAdd: 'devices', devices: { net1: address } },
  ]);
  const inserted = insertCard(node);
  const network = await inserted.open();
  const { sandboxId } = request();
  const { interfaces, netnsPath } = await network.attach(request({ sandboxId }), soon());
  expect(interfaces.map(({ name, virtualFunction }) => [name, virtualFunction?.pciAddress])).toEqual([
    ['eth0', undefined],
    ['net1', address],
  ]);
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  const vm = startVm(inserted, netnsPath, 'net1');
  await network.joinTap(sandboxId, guest.tap, soon());
  expect(guest.dhcp()).toMatchObject({ ip: '10.213.7.2' });
  expect((await network.counters(sandboxId))?.map(({ name }) => name)).toEqual(['eth0']);
  vm.end();
  network.close();

  const next = await inserted.open();
  await next.recover(new Map(), soon());
  expect(next.attachment(sandboxId)).toBeUndefined();
  expect(node.traces()).toEqual(nothing);
});

it('that libvirt has left with vfio-pci is returned to its driver first', async () => {
  const { node, inserted, network, sandboxId, netnsPath } = await makeFunctionPod();
  const vm = startVm(inserted, netnsPath);
  const detached = network.detach(sandboxId, soon());
  const probe = join(inserted.sysfs.dir, 'bus', 'pci', 'drivers_probe');
  await waitFor(() => readFileSync(probe, 'utf8') === address, { timeoutMs: 20_000, what: 'the kernel asked for a driver' });
  expect(readFileSync(join(inserted.sysfs.dir, 'bus', 'pci', 'drivers', 'vfio-pci', 'unbind'), 'utf8')).toBe(address);
  vm.end();
  await detached;
  expectAsAdded(node);
  expect(node.traces()).toEqual(nothing);
});

it.each([
  ['before it is moved', 3, 'created'],
  ['when it has been moved', 3, 'exit'],
  ['before it is as it was', 4, 'created'],
] as const)('comes back also when the daemon is killed %s', async (_when, nth, point) => {
  const { node, inserted, network, sandboxId, netnsPath } = await makeFunctionPod();
  const vm = startVm(inserted, netnsPath);
  await network.joinTap(sandboxId, 'tnone', soon());
  vm.end();
  network.close();
  const { netnsDir, stateDir, runtimeDir, confDir, binDir } = node;
  const cni = { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni') };
  const options = { netnsDir, stateDir, runtimeDir, cni, sriov: inserted.sriov };
  const daemon = join(import.meta.dirname, 'killed-daemon.ts');
  const ended = spawnSync(process.execPath, [daemon, JSON.stringify({ options, sandboxId, act: 'detach', nth, point })], {
    encoding: 'utf8',
  });
  expect(ended).toMatchObject({ signal: 'SIGKILL', stdout: '', stderr: '' });

  const next = await inserted.open();
  await next.recover(new Map(), soon());
  expectAsAdded(node);
  expect(node.traces()).toEqual(nothing);
});

it('that never comes back is told by name, and does not keep the pod for ever', async () => {
  const { node, inserted, network, sandboxId, netnsPath } = await makeFunctionPod({ waitMs: 200 });
  startVm(inserted, netnsPath);
  inserted.sysfs.bind(address, 'iavf');
  await network.removeTap(sandboxId, 'tnone', soon());
  const told = `interface eth0 (virtual function ${address}, driver iavf) did not come back in time`;
  for (let call = 0; call < 2; call++) await expect(network.detach(sandboxId, soon())).rejects.toThrow(told);
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD']);
  await network.detach(sandboxId, soon());
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
  expect(existsSync(netnsPath)).toBe(false);
});

it('that DEL has given up stays where it is, however long other plugins need', async () => {
  const { node, inserted, network, sandboxId } = await makeFunctionPod({ plugin: { onDel: 'fail' } });
  await expect(network.detach(sandboxId, soon())).rejects.toThrow('the switch is on fire');
  const onNode = `vf${randomBytes(4).toString('hex')}`;
  run('ip', 'link', 'add', 'name', onNode, 'type', 'veth', 'peer', 'name', `${onNode}p`);
  onTestFinished(() => void spawnSync('ip', ['link', 'del', 'dev', onNode]));
  inserted.sysfs.show(address, [onNode]); // as when the plugin has moved it back
  await network.removeTap(sandboxId, 'tnone', soon());
  await expect(network.detach(sandboxId, soon())).rejects.toThrow('the switch is on fire');
  expect(run('ip', '-br', 'link', 'show', 'dev', onNode)).toContain(onNode);
  expect(node.traces().namespaces).toHaveLength(1);
  await network.detach(sandboxId, soon());
});

it('that no VM can have fails the pod, and leaves nothing', async () => {
  const node = makeNode();
  configureFunction(node);
  const inserted = insertCard(node);
  inserted.sysfs.group(address, undefined);
  const network = await inserted.open();
  await expect(network.attach(request(), soon())).rejects.toThrow(
    `CNI plugin bridge, ADD: its interface eth0 is the SR-IOV virtual function ${address}, which a VM cannot have: it has no IOMMU group`,
  );
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
  expect(node.traces()).toEqual(nothing);
});

it('whose card is taken out has nothing to be given back', async () => {
  const { node, inserted, network, sandboxId, netnsPath } = await makeFunctionPod();
  startVm(inserted, netnsPath);
  inserted.sysfs.remove(address);
  await network.detach(sandboxId, soon());
  expect(node.traces()).toMatchObject({ namespaces: [], leases: [], records: [] });
});
