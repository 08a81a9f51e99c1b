import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLog, type Log } from '../../../src/lib/log.ts';
import { signalProcess } from '../../lib/processes.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, soon, type TestGuest } from './node.ts';

const counts = z.object({ bytes: z.number(), packets: z.number() });
const linkStatistics = z.tuple([z.object({ stats64: z.object({ rx: counts, tx: counts }) })]);

/** Bytes and packets of the guest's own interface, by its own kernel. */
function ownCounters({ inside }: TestGuest): Record<string, number> {
  const [link] = linkStatistics.parse(JSON.parse(inside('ip', '-json', '-statistics', 'link', 'show', 'dev', 'g0')));
  const { rx, tx } = link.stats64;
  return { rxBytes: rx.bytes, rxPackets: rx.packets, txBytes: tx.bytes, txPackets: tx.packets };
}

/** Lines of a process's namespace that tell of UDP sockets. */
function udpSockets(pid: number | undefined): readonly string[] {
  const files = ['udp', 'udp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8').trim().split('\n').slice(1));
  return files.flat();
}

/** Sends 200 datagrams of 1 kB to the guest, where nobody listens. */
const flood = `const socket = require('node:dgram').createSocket('udp4');
let left = 200;
const next = () => (left-- > 0 ? socket.send(Buffer.alloc(1000), 9, '10.213.7.2', next) : socket.close());
next();`;

describe('counters of a pod’s interface', () => {
  it('are what the guest itself counts, under the name that the pod knows', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    expect(await network.counters(wanted.sandboxId)).toBeUndefined(); // no VM is joined
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    guest.dhcp();
    const [before] = (await network.counters(wanted.sandboxId)) ?? [];
    guest.inside('busybox', 'ping', '-c', '3', '-i', '0.1', '-s', '1000', '-W', '5', '10.213.7.1');
    const after = await waitFor(
      async () => {
        const [counters] = (await network.counters(wanted.sandboxId)) ?? [];
        const own = ownCounters(guest);
        return counters && Object.entries(own).every(([name, value]) => Reflect.get(counters, name) === value) && counters;
      },
      { timeoutMs: 20_000, what: 'counters that equal the guest’s' },
    );
    expect(after.name).toBe('eth0');
    expect(after.txBytes - (before?.txBytes ?? 0)).toBeGreaterThanOrEqual(3 * 1_000);
    expect(after.rxPackets - (before?.rxPackets ?? 0)).toBeGreaterThanOrEqual(3);

    await network.removeTap(wanted.sandboxId, guest.tap, soon());
    expect(await network.counters(wanted.sandboxId)).toBeUndefined();
    await network.detach(wanted.sandboxId, soon());
    expect(await network.counters(wanted.sandboxId)).toBeUndefined();
  });

  it('are there in a network of IPv6 alone, and still when its process has died', async () => {
    const node = makeNode();
    const ipam = {
      type: 'host-local',
      dataDir: join(node.dir, 'ipam'),
      ranges: [[{ subnet: 'fd00:213:9::/64' }]],
      routes: [{ dst: '::/0' }],
    };
    node.configure([bridgePlugin(node, { ipam })]);
    const warnings: unknown[] = [];
    const log: Log = { ...silentLog, warn: (facts) => void warnings.push(facts) };
    const network = await node.open(20_000, 60_000, { dhcpWatchMs: 100 }, { log });
    const replaced: string[] = [];
    network.onHelperReplaced((id) => replaced.push(id));
    const { sandboxId, ...wanted } = request();
    const { interfaces, ips } = await network.attach({ sandboxId, ...wanted }, soon());
    expect(ips).toEqual(['fd00:213:9::2']);
    expect(warnings).toEqual([{ sandboxId, network: 'testnet', interfaces: ['eth0'] }]);
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, guest.tap, soon());
    guest.inside('ip', 'address', 'add', 'fd00:213:9::2/64', 'dev', 'g0', 'nodad');
    const pings = ['busybox', 'ping6', '-c', '3', '-i', '0.1', '-s', '1000', '-W', '5', 'fd00:213:9::1'] as const;
    const expectPingsCounted = async (): Promise<void> => {
      const sum = async (name: 'txBytes' | 'rxPackets'): Promise<number> =>
        ((await network.counters(sandboxId)) ?? []).reduce((total, nic) => total + nic[name], 0);
      const [bytes, packets] = [await sum('txBytes'), await sum('rxPackets')];
      guest.inside(...pings);
      expect((await sum('txBytes')) - bytes).toBeGreaterThanOrEqual(3 * 1_000);
      expect((await sum('rxPackets')) - packets).toBeGreaterThanOrEqual(3);
    };
    await expectPingsCounted();
    signalProcess(network.helperPid(sandboxId), 'SIGKILL');
    await waitFor(() => replaced.length > 0, { timeoutMs: 20_000, what: 'another process' });
    await expectPingsCounted();
    expect(replaced).toEqual([sandboxId]);
    expect(udpSockets(network.helperPid(sandboxId))).toEqual([]);

    // The next daemon adopts it, or starts another.
    network.close();
    const next = await node.open();
    await next.recover(new Map([[sandboxId, guest.tap]]), soon());
    expect(next.helperPid(sandboxId)).toBe(network.helperPid(sandboxId));
    expect(await next.counters(sandboxId)).toMatchObject([{ name: 'eth0' }]);
    await next.detach(sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('tell rx from tx: a flood to the guest is what it receives', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const wanted = request();
    const { interfaces } = await network.attach(wanted, soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(wanted.sandboxId, guest.tap, soon());
    guest.dhcp();
    guest.inside('busybox', 'ping', '-c', '1', '-W', '5', '10.213.7.1'); // both know each other's MAC
    const [before] = (await network.counters(wanted.sandboxId)) ?? [];
    node.inside(process.execPath, '-e', flood);
    const after = await waitFor(
      async () => {
        const [counters] = (await network.counters(wanted.sandboxId)) ?? [];
        return counters && counters.rxBytes - (before?.rxBytes ?? 0) > 100_000 && counters;
      },
      { timeoutMs: 20_000, what: 'bytes received' },
    );
    expect(after.txBytes - (before?.txBytes ?? 0)).toBeLessThan(20_000);
    await network.detach(wanted.sandboxId, soon());
  });
});
