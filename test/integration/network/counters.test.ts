import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, request, soon, type TestGuest } from './node.ts';

const counts = z.object({ bytes: z.number(), packets: z.number() });
const linkStatistics = z.tuple([z.object({ stats64: z.object({ rx: counts, tx: counts }) })]);

/** Bytes and packets of the guest's own interface, by its own kernel. */
function ownCounters({ inside }: TestGuest): Record<string, number> {
  const [link] = linkStatistics.parse(JSON.parse(inside('ip', '-json', '-statistics', 'link', 'show', 'dev', 'g0')));
  const { rx, tx } = link.stats64;
  return { rxBytes: rx.bytes, rxPackets: rx.packets, txBytes: tx.bytes, txPackets: tx.packets };
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
      { timeoutMs: 10_000, what: 'counters that equal the guest’s' },
    );
    expect(after.name).toBe('eth0');
    expect(after.txBytes - (before?.txBytes ?? 0)).toBeGreaterThanOrEqual(3 * 1_000);
    expect(after.rxPackets - (before?.rxPackets ?? 0)).toBeGreaterThanOrEqual(3);

    await network.removeTap(wanted.sandboxId, guest.tap, soon());
    expect(await network.counters(wanted.sandboxId)).toBeUndefined();
    await network.detach(wanted.sandboxId, soon());
    expect(await network.counters(wanted.sandboxId)).toBeUndefined();
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
      { timeoutMs: 10_000, what: 'bytes received' },
    );
    expect(after.txBytes - (before?.txBytes ?? 0)).toBeLessThan(20_000);
    await network.detach(wanted.sandboxId, soon());
  });
});
