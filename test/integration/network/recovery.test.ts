import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, request, serverPid, soon, type TestGuest, type TestNode } from './node.ts';

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
    await waitFor(() => node.traces().processes.length === 0, { timeoutMs: 5_000, what: 'end of dnsmasq' });
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
      process.kill(network.helperPid(sandboxId) ?? 0, 'SIGKILL');
      await waitFor(() => replaced.length === killed, { timeoutMs: 10_000, what: 'another DHCP server' });
      expect(guest.dhcp()).toMatchObject({ ip: '10.213.7.2', lease: '4294967295' });
    }
    expect(node.traces().processes).toHaveLength(1);

    // Without a VM nothing is to be served.
    await network.removeTap(sandboxId, guest.tap, soon());
    const next = makeGuest(node, network.attachment(sandboxId)?.interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, next.tap, soon());
    expect(replaced).toEqual([sandboxId, sandboxId, sandboxId]);
    process.kill(network.helperPid(sandboxId) ?? 0, 'SIGKILL');
    await waitFor(() => replaced.length === 4, { timeoutMs: 10_000, what: 'another DHCP server' });
    expect(next.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [], leases: [] });
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
    const wanted = request();
    const { netnsPath } = await before.attach(wanted, soon());
    before.close();
    const orphan = (name: string, value: string): ChildProcess => {
      const child = spawn('sleep', ['1000'], { env: { PATH: process.env['PATH'], [name]: value }, stdio: 'ignore' });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    };
    const [plugin, program] = [orphan('CNI_CONTAINERID', wanted.sandboxId), orphan('VMLET_NETNS', netnsPath)];
    const other = orphan('CNI_CONTAINERID', request().sandboxId);
    const network = await node.open();
    await waitFor(() => plugin.signalCode !== null && program.signalCode !== null, { timeoutMs: 5_000, what: 'end of the orphans' });
    expect([plugin.signalCode, program.signalCode, other.signalCode]).toEqual(['SIGTERM', 'SIGTERM', null]);
    await network.detach(wanted.sandboxId, soon());
  });

  it('undoes an ADD that was cut short', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId } = await runningPod(node);
    const file = join(node.stateDir, 'attachments', `${sandboxId}.json`);
    const { schema, record } = JSON.parse(readFileSync(file, 'utf8')) as { schema: number; record: Record<string, unknown> };
    const { netnsPath, hostname, network: config, subject } = record;
    writeFileSync(file, JSON.stringify({ schema, record: { netnsPath, hostname, network: config, subject } }));
    process.kill(await serverPid(node, sandboxId), 'SIGKILL');
    const network = await node.open();
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    expect(node.traces()).toMatchObject({ namespaces: [], leases: [], records: [], links: ['lo'] });
  });

  it('puts the interface back after a join that was cut short, and joins again', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const { sandboxId } = await runningPod(node);
    const file = join(node.stateDir, 'attachments', `${sandboxId}.json`);
    writeFileSync(file, readFileSync(file, 'utf8').replace('"state":"made"', '"state":"making"'));
    const network = await node.open();
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    const next = makeGuest(node, network.attachment(sandboxId)?.interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, next.tap, soon());
    expect(next.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ iptables: [], processes: [], namespaces: [], leases: [] });
  });
});

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
