import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { signalProcess } from '../../lib/processes.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, serverPid, soon, type TestGuest, type TestNode } from './node.ts';

/** A sandbox with a "VM" on its network, made by a daemon that is then gone. */
async function runningPod(node: TestNode): Promise<{ sandboxId: string; guest: TestGuest }> {
  const network = await node.open();
  const wanted = request();
  const { interfaces } = await network.attach(wanted, soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  await network.joinTap(wanted.sandboxId, guest.tap, soon());
  network.close();
  return { sandboxId: wanted.sandboxId, guest };
}

describe('a daemon that starts again', () => {
  it('adopts the DHCP server of a running VM', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId, guest } = await runningPod(node);
    const before = await serverPid(node, sandboxId);
    const network = await node.open();
    await network.recover(new Map([[sandboxId, guest.tap]]), soon());
    expect(await serverPid(node, sandboxId)).toBe(before);
    expect(network.attachment(sandboxId)?.ips).toEqual(['10.213.7.2']);
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [] });
  });

  it('starts a DHCP server that has died again', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId, guest } = await runningPod(node);
    process.kill(await serverPid(node, sandboxId), 'SIGKILL');
    await waitFor(() => node.traces().processes.length === 0, { timeoutMs: 20_000, what: 'end of dnsmasq' });
    const network = await node.open();
    await network.recover(new Map([[sandboxId, guest.tap]]), soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
  });

  it('starts one that dies while it runs again, with the same lease', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId, guest } = await runningPod(node);
    const network = await node.open(20_000, 60_000, { dhcpWatchMs: 100 });
    await network.recover(new Map([[sandboxId, guest.tap]]), soon());
    const replaced: string[] = [];
    network.onHelperReplaced((id) => replaced.push(id));
    for (let killed = 1; killed <= 3; killed++) {
      signalProcess(network.helperPid(sandboxId), 'SIGKILL');
      await waitFor(() => replaced.length === killed, { timeoutMs: 20_000, what: 'another DHCP server' });
      expect(guest.dhcp()).toMatchObject({ ip: '10.213.7.2', lease: '4294967295' });
    }
    expect(node.traces().processes).toHaveLength(1);

    // Without a VM nothing is to be served.
    await network.removeTap(sandboxId, guest.tap, soon());
    const next = makeGuest(node, network.attachment(sandboxId)?.interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, next.tap, soon());
    expect(replaced).toEqual([sandboxId, sandboxId, sandboxId]);
    signalProcess(network.helperPid(sandboxId), 'SIGKILL');
    await waitFor(() => replaced.length === 4, { timeoutMs: 20_000, what: 'another DHCP server' });
    expect(next.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [], leases: [] });
  });

  it('serves a VM that it hears of only later as one that it has found running', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId, guest } = await runningPod(node);
    const network = await node.open(20_000, 60_000, { dhcpWatchMs: 100 });
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    const { netnsPath = '' } = network.attachment(sandboxId) ?? {};
    const nft = (...argv: readonly string[]): string => run('nsenter', `--net=${netnsPath}`, 'nft', ...argv, 'table', 'bridge', 'vmlet');
    const filter = nft('list');
    nft('delete');
    const replaced: string[] = [];
    network.onHelperReplaced((id) => replaced.push(id));
    const pid = network.helperPid(sandboxId);
    await network.adopt(sandboxId, guest.tap, soon());
    expect(network.helperPid(sandboxId)).toBe(pid);
    expect(nft('list')).toBe(filter);
    process.kill(pid ?? 0, 'SIGKILL');
    await waitFor(() => replaced.length === 1, { timeoutMs: 10_000, what: 'another DHCP server' });
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('releases what is not alive, and touches nothing else', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const gone = await runningPod(node);
    const live = await runningPod(node);
    writeFileSync(join(node.netnsDir, 'vmlet-of-another'), '');
    writeFileSync(join(node.stateDir, 'attachments', 'unreadable.json'), 'not JSON');
    const network = await node.open();
    await network.recover(new Map([[live.sandboxId, undefined]]), soon());
    expect(network.attachment(gone.sandboxId)).toBeUndefined();
    expect(await network.isAlive(live.sandboxId)).toBe(true);
    const traces = node.traces();
    expect(traces.leases).toEqual(['10.213.7.3']);
    expect(traces.namespaces).toEqual([`vmlet-${live.sandboxId.slice(0, 12)}`, 'vmlet-of-another'].toSorted());
    expect(traces.records).toEqual([`${live.sandboxId}.json`, 'unreadable.json'].toSorted());
    await network.detach(live.sandboxId, soon());
  });

  it('ends what an earlier one left at work on its sandboxes, and nothing else', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const before = await node.open();
    const [wanted, live] = [request(), request()];
    const { netnsPath } = await before.attach(wanted, soon());
    await before.attach(live, soon());
    before.close();
    changeRecord(node, wanted.sandboxId, (record) => ({ ...record, deleting: true }));
    const orphan = (name: string, value: string): ChildProcess => {
      const child = spawn('sleep', ['1000'], { env: { PATH: process.env['PATH'], [name]: value }, stdio: 'ignore' });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    };
    const [plugin, program] = [orphan('CNI_CONTAINERID', wanted.sandboxId), orphan('VMLET_NETNS', netnsPath)];
    const others = [orphan('CNI_CONTAINERID', request().sandboxId), orphan('CNI_CONTAINERID', live.sandboxId)];
    const network = await node.open();
    await waitFor(() => plugin.signalCode !== null && program.signalCode !== null, { timeoutMs: 20_000, what: 'end of the orphans' });
    expect([plugin, program, ...others].map(({ signalCode }) => signalCode)).toEqual(['SIGTERM', 'SIGTERM', null, null]);
    for (const { sandboxId } of [wanted, live]) await network.detach(sandboxId, soon());
  });

  it('is not held up by plugins that hang: they are tried again in the background', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const before = await node.open();
    const wanted = Array.from({ length: 6 }, () => request());
    for (const each of wanted) await before.attach(each, soon());
    before.close();
    const plugin = join(node.binDir, 'bridge');
    const text = readFileSync(plugin, 'utf8');
    writeFileSync(plugin, '#!/bin/sh\nexec sleep 1000\n');
    const network = await node.open(5_000, 100, { releasePatienceMs: 100 });
    await network.recover(new Map(), soon());
    expect(node.traces().records).toHaveLength(6);
    writeFileSync(plugin, text);
    await waitFor(() => node.traces().records.length === 0, { timeoutMs: 45_000, what: 'release of the networks' });
    expect(node.traces()).toEqual(nothing);
  });

  it('joins a running VM that no daemon has joined', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const before = await node.open();
    const wanted = request();
    const { interfaces } = await before.attach(wanted, soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    before.close();
    const network = await node.open();
    await network.recover(new Map([[wanted.sandboxId, guest.tap]]), soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('undoes an ADD that was cut short', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId } = await runningPod(node);
    changeRecord(node, sandboxId, ({ netnsPath, hostname, network: config, subject }) => ({
      netnsPath,
      hostname,
      network: config,
      subject,
    }));
    process.kill(await serverPid(node, sandboxId), 'SIGKILL');
    const network = await node.open();
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    expect(node.traces()).toMatchObject({ namespaces: [], leases: [], records: [], links: ['lo'] });
  });

  it('puts the interface back after a join that was cut short, and joins again', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId } = await runningPod(node);
    changeRecord(node, sandboxId, (record) => ({ ...record, joint: { ...(record['joint'] as object), state: 'making' } }));
    const network = await node.open();
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    const next = makeGuest(node, network.attachment(sandboxId)?.interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, next.tap, soon());
    expect(next.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [], leases: [] });
  });
});

describe('after a reboot of the node', () => {
  it('every address is given back: of pods that are stopped, that nobody knows, and whose plugin fails at first', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node), { type: 'firewall' }]);
    const [stopped, unknown] = [await runningPod(node), await runningPod(node)];
    const neverStarted = request();
    const before = await node.open();
    await before.attach(neverStarted, soon());
    node.configure([bridgePlugin(node), { ...double, onDel: 'fail' }]);
    const failing = request();
    await before.attach(failing, soon());
    before.close();
    expect(node.traces().leases).toEqual(['10.213.7.2', '10.213.7.3', '10.213.7.4', '10.213.7.5']);
    reboot(node);

    const network = await node.open(20_000, 300);
    const known = [stopped.sandboxId, neverStarted.sandboxId, failing.sandboxId];
    for (const id of known) expect(await network.isAlive(id)).toBe(false);
    await network.recover(new Map(known.map((id) => [id, undefined])), soon());
    expect(network.attachment(unknown.sandboxId)).toBeUndefined();
    expect(node.traces().leases).toEqual(['10.213.7.2', '10.213.7.4', '10.213.7.5']);
    for (const id of known.slice(0, 2)) await network.detach(id, soon());
    await expect(network.detach(failing.sandboxId, soon())).rejects.toThrow('the switch is on fire');
    expect(node.traces()).toMatchObject({ leases: [], records: [`${failing.sandboxId}.json`] });
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await waitFor(() => node.traces().records.length === 0, { timeoutMs: 20_000, what: 'release in the background' });
    expect(node.traces()).toEqual(nothing);
    expect(node.calls().map(({ env }) => env['CNI_NETNS'])).toContain('');
  });

  it('a plugin that gives no address back at first is asked until it does', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId } = await runningPod(node);
    reboot(node);
    rmSync(join(node.binDir, 'host-local'));
    const network = await node.open(20_000, 300);
    await network.recover(new Map(), soon());
    expect(node.traces()).toMatchObject({
      leases: ['10.213.7.2'],
      records: [`${sandboxId}.json`],
      cached: [expect.stringContaining(sandboxId)],
    });
    symlinkSync('/usr/lib/cni/host-local', join(node.binDir, 'host-local'));
    await waitFor(() => node.traces().records.length === 0, { timeoutMs: 20_000, what: 'release in the background' });
    expect(node.traces()).toEqual(nothing);
  });
});

/** What a reboot does: processes, namespaces, links and rules of the pods are gone, with what lies in /run; records and leases stay. */
function reboot(node: TestNode): void {
  for (const line of node.traces().processes) process.kill(Number.parseInt(line, 10), 'SIGKILL');
  for (const name of node.traces().namespaces) {
    run('umount', '--lazy', join(node.netnsDir, name));
    rmSync(join(node.netnsDir, name));
  }
  for (const program of ['iptables', 'ip6tables'])
    for (const table of ['filter', 'nat']) for (const flag of ['-F', '-X']) node.inside(program, '-t', table, flag);
  rmSync(node.runtimeDir, { recursive: true });
}

describe('a join that fails', () => {
  it('leaves the interface as it was', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    await expect(network.joinTap(wanted.sandboxId, 'absent0', soon())).rejects.toThrow('Cannot find device');
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [], leases: [] });
  });

  it('names a sandbox without a network', async () => {
    const network = await makeNode().open();
    await expect(network.joinTap('ab'.repeat(32), 'tap0', soon())).rejects.toThrow('has no network');
  });
});

/** Changes what stands in a sandbox's record, as a daemon that died at another moment would have left it. */
function changeRecord(node: TestNode, sandboxId: string, change: (record: Record<string, unknown>) => object): void {
  const file = join(node.stateDir, 'attachments', `${sandboxId}.json`);
  const { schema, record } = JSON.parse(readFileSync(file, 'utf8')) as { schema: number; record: Record<string, unknown> };
  writeFileSync(file, JSON.stringify({ schema, record: change(record) }));
}
