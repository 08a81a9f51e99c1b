import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { live } from './life.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, soon, type TestNode } from './node.ts';

/** What becomes of a plugin at one of the calls of iptables that its DEL makes: the pod's interface is gone by then. */
const ends = {
  'is killed': 'kill -9 $PPID',
  'hangs until its deadline': 'exec sleep 1000',
  'is killed with its daemon': 'kill -9 $(cut -d " " -f 4 /proc/$PPID/stat) $PPID',
} as const;
type End = keyof typeof ends;

/** How often Debian's bridge and ptp call iptables in a DEL of a dual-stack pod. */
const calls = 12;

/** Has the plugin's DEL end so at some calls of iptables, one DEL after the other; those after them run undisturbed. */
function interruptDel(node: TestNode, type: string, how: End, ...nths: readonly number[]): { readonly isOver: () => boolean } {
  const armed = join(node.dir, 'armed');
  const hostile = join(node.dir, 'hostile');
  mkdirSync(hostile);
  const write = (file: string, ...lines: readonly string[]): void => {
    writeFileSync(file, ['#!/bin/sh', ...lines, ''].join('\n'));
    chmodSync(file, 0o755);
  };
  for (const program of ['iptables', 'ip6tables']) {
    write(
      join(hostile, program),
      `if [ "$CNI_COMMAND" = DEL ] && read -r left others < ${armed} && [ -n "$left" ]; then`,
      `  if [ "$left" -gt 1 ]; then echo "$((left - 1)) $others" > ${armed}`,
      `  else echo "$others" > ${armed}; ${ends[how]}; fi`,
      'fi',
      `exec /usr/sbin/${program} "$@"`,
    );
  }
  write(join(node.binDir, type), `PATH=${hostile}:$PATH exec nsenter --net=${node.netns} /usr/lib/cni/${type}`);
  writeFileSync(armed, `${nths.join(' ')}\n`);
  return { isOver: () => readFileSync(armed, 'utf8').trim() === '' };
}

/** A plugin whose pods have masquerade rules of both families. */
function masquerading(node: TestNode, type: string): object {
  const ranges = [[{ subnet: '10.213.7.0/24' }], [{ subnet: 'fd00:213:7::/64' }]];
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '192.0.2.0/24', gw: '10.213.7.1' }, { dst: '::/0' }];
  return bridgePlugin(node, { type, mtu: 1400, ipam: { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges, routes } });
}

interface Pod {
  readonly release: () => Promise<void>;
}

/** A pod of that plugin, with a "VM" on its network. */
async function makePod(node: TestNode, timeoutMs?: number): Promise<Pod> {
  const network = await node.open(timeoutMs);
  const { sandboxId, ...wanted } = request();
  const { interfaces } = await network.attach({ sandboxId, ...wanted }, soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  await network.joinTap(sandboxId, guest.tap, soon());
  return { release: async () => network.detach(sandboxId, soon()) };
}

describe('a DEL that is cut short after it has removed the interface is made good by the next', () => {
  it.each(Array.from({ length: calls }, (_, index) => index + 1))('at call %i of iptables', async (nth) => {
    const node = makeNode();
    const { isOver } = interruptDel(node, 'bridge', 'is killed', nth);
    node.configure([masquerading(node, 'bridge')]);
    const pod = await makePod(node);
    await expect(pod.release()).rejects.toThrow('bridge, DEL: ended by SIGKILL');
    expect(isOver()).toBe(true);
    await pod.release();
    expect(node.traces()).toEqual(nothing);
  });

  it('when the plugin is killed again and again', async () => {
    const node = makeNode();
    interruptDel(node, 'ptp', 'is killed', 1, 7);
    node.configure([masquerading(node, 'ptp')]);
    const pod = await makePod(node);
    for (const _time of [1, 2]) await expect(pod.release()).rejects.toThrow('ptp, DEL: ended by SIGKILL');
    await pod.release();
    expect(node.traces()).toEqual(nothing);
  });

  it('when the plugin hangs until its deadline', async () => {
    const node = makeNode();
    interruptDel(node, 'bridge', 'hangs until its deadline', 2);
    node.configure([masquerading(node, 'bridge')]);
    const pod = await makePod(node, 8_000);
    await expect(pod.release()).rejects.toThrow('bridge, DEL: no answer within 8000 ms, killed');
    await pod.release();
    expect(node.traces()).toEqual(nothing);
  });

  it.each([1, 8])('when the daemon is killed with it, at call %i', async (nth) => {
    const node = makeNode();
    const { isOver } = interruptDel(node, 'bridge', 'is killed with its daemon', nth);
    node.configure([masquerading(node, 'bridge')]);
    const tap = `td${process.pid % 100_000}${nth}`;
    onTestFinished(() => {
      if (readFileSync('/proc/net/dev', 'utf8').includes(`${tap}:`)) run('ip', 'link', 'del', 'dev', tap);
    });
    expect(await live(node, { sandboxId: request().sandboxId, tap, nth: 0, how: 'killed before' })).toBe('killed');
    expect(isOver()).toBe(true);
    expect(node.traces().iptables.length).toBeGreaterThan(0);
    await (await node.open()).recover(new Map(), soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('of a pod that never had a VM', async () => {
    const node = makeNode();
    interruptDel(node, 'bridge', 'is killed', 1);
    node.configure([masquerading(node, 'bridge')]);
    const network = await node.open();
    const wanted = request();
    await network.attach(wanted, soon());
    await expect(network.detach(wanted.sandboxId, soon())).rejects.toThrow('ended by SIGKILL');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('of an ADD that failed', async () => {
    const node = makeNode();
    interruptDel(node, 'bridge', 'is killed', 1, 2);
    node.configure([masquerading(node, 'bridge'), { type: 'double', journal: node.journal, onAdd: 'fail' }]);
    const network = await node.open();
    const wanted = request();
    await expect(network.attach(wanted, soon())).rejects.toThrow('the switch is on fire');
    expect(node.traces().iptables.length).toBeGreaterThan(0);
    network.close();
    const next = await node.open();
    await next.recover(new Map(), soon());
    expect(node.traces().records).toEqual([`${wanted.sandboxId}.json`]);
    await next.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('of a macvlan, which has no rules, beside a plugin that fails', async () => {
    const node = makeNode();
    node.inside('ip', 'link', 'add', 'name', 'cni-test-m', 'type', 'bridge');
    interruptDel(node, 'macvlan', 'is killed', 1);
    const ipam = { type: 'host-local', dataDir: join(node.dir, 'ipam'), ranges: [[{ subnet: '10.213.7.0/24' }]] };
    node.configure([
      { type: 'macvlan', master: 'cni-test-m', ipam },
      { type: 'double', journal: node.journal, onDel: 'fail' },
    ]);
    const pod = await makePod(node);
    await expect(pod.release()).rejects.toThrow('the switch is on fire');
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await pod.release();
    expect(node.traces()).toEqual(nothing);
  });
});

const seen = z.array(
  z.object({
    address: z.string(),
    mtu: z.int(),
    addr_info: z.array(z.object({ local: z.string(), prefixlen: z.int(), scope: z.string() })),
  }),
);

it('what stands in for the interface has its MAC and MTU, and one address after the other', async () => {
  const node = makeNode();
  interruptDel(node, 'bridge', 'is killed', 1);
  node.configure([masquerading(node, 'bridge'), { type: 'double', journal: node.journal }]);
  const pod = await makePod(node);
  await expect(pod.release()).rejects.toThrow('ended by SIGKILL');
  await pod.release();
  const states = node.calls().map(({ command, state }) => {
    const [link] = seen.parse(z.object({ address: z.unknown() }).parse(state).address);
    const addresses = link?.addr_info.filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`);
    return { command, address: link?.address, mtu: link?.mtu, addresses };
  });
  const [added] = states;
  expect(added).toMatchObject({ mtu: 1400, addresses: ['10.213.7.2/24', 'fd00:213:7::2/64'] });
  expect(states).toEqual([
    added,
    { ...added, command: 'DEL' },
    { ...added, command: 'DEL', addresses: ['10.213.7.2/24'] },
    { ...added, command: 'DEL', addresses: ['fd00:213:7::2/64'] },
  ]);
  expect(node.traces()).toEqual(nothing);
});
