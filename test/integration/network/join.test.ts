import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, serverPid, soon, type TestNode } from './node.ts';

/** Every point of a join's programs (move, filter, bridge, DHCP server) at which a daemon can be killed. */
const points = [1, 2, 3, 4].flatMap((nth) => (['created', 'spawn', 'exit'] as const).map((point) => ({ nth, point })));

interface Kill {
  readonly sandboxId: string;
  readonly tap: string;
  readonly nth: number;
  readonly point: 'created' | 'spawn' | 'exit';
}

/** Joins a tap in a daemon that is killed on the way; answers once what it had started has ended, but for a DHCP server. */
async function joinAndDie({ netnsDir, stateDir, runtimeDir, confDir, binDir, traces }: TestNode, kill: Kill): Promise<'killed' | 'joined'> {
  const options = {
    netnsDir,
    stateDir,
    runtimeDir,
    cni: { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni') },
  };
  const program = join(import.meta.dirname, 'killed-daemon.ts');
  const outcome = await new Promise<'killed' | 'joined'>((resolve, reject) => {
    execFile(process.execPath, [program, JSON.stringify({ ...kill, options })], (error, stdout, stderr) => {
      if (error?.signal === 'SIGKILL') resolve('killed');
      else if (error || stdout !== 'joined') reject(new Error(`no kill, no join: ${stderr}`));
      else resolve('joined');
    });
  });
  const isServer = (line: string): boolean => /^[0-9]+ dnsmasq /.test(line);
  await waitFor(() => traces().processes.every(isServer), { timeoutMs: 20_000, what: 'end of the orphans' });
  return outcome;
}

describe('a join whose daemon is killed', () => {
  it.each(points)('at program $nth, $point: is made whole by the same call', async ({ nth, point }) => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal }]);
    const { sandboxId } = request();
    const attachment = await (await node.open()).attach(request({ sandboxId }), soon());
    const guest = makeGuest(node, attachment.interfaces[0]?.mac ?? '');
    const outcome = await joinAndDie(node, { sandboxId, tap: guest.tap, nth, point });
    // The DHCP server, the last program, outlives a join: its end is no point of it.
    expect(outcome).toBe(nth === 4 && point === 'exit' ? 'joined' : 'killed');

    const network = await node.open();
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    await network.joinTap(sandboxId, guest.tap, soon());
    expect(node.traces().processes).toHaveLength(1);
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    const [added, deleted] = node.calls();
    expect(linkOf(deleted?.state)).toEqual(linkOf(added?.state));
    expect(node.traces()).toEqual(nothing);
  });

  it.each(points.filter(({ nth }) => nth < 4))('of a next VM at program $nth, $point: makes room for another', async ({ nth, point }) => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const before = await node.open();
    const { sandboxId } = request();
    const { interfaces } = await before.attach(request({ sandboxId }), soon());
    const [first, second, third] = Array.from({ length: 3 }, () => makeGuest(node, interfaces[0]?.mac ?? ''));
    if (!first || !second || !third) throw new Error('three guests are needed');
    await before.joinTap(sandboxId, first.tap, soon());
    before.close(); // else it starts another server for the one that the next daemon ends
    await joinAndDie(node, { sandboxId, tap: second.tap, nth, point });

    const network = await node.open();
    await network.removeTap(sandboxId, second.tap, soon());
    await network.recover(new Map([[sandboxId, undefined]]), soon());
    expect(node.traces().processes).toEqual([]);
    await network.joinTap(sandboxId, third.tap, soon());
    await network.removeTap(sandboxId, first.tap, soon());
    expect(node.traces().processes).toHaveLength(1);
    expect(third.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });
});

it('finds a DHCP server that was neither recorded nor had come to write its pid file', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const { sandboxId } = request();
  const { interfaces } = await (await node.open()).attach(request({ sandboxId }), soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  expect(await joinAndDie(node, { sandboxId, tap: guest.tap, nth: 4, point: 'spawn' })).toBe('killed');
  const pidFile = join(node.runtimeDir, `${sandboxId}.pid`);
  await waitFor(() => existsSync(pidFile), { timeoutMs: 20_000, what: 'pid file of the orphan' });
  rmSync(pidFile);
  expect(node.traces().processes).toHaveLength(1);
  const network = await node.open();
  await network.removeTap(sandboxId, guest.tap, soon());
  expect(node.traces().processes).toEqual([]);
  await network.detach(sandboxId, soon());
  expect(node.traces()).toEqual(nothing);
});

describe('the removal of a tap', () => {
  it('of an attempt before leaves the newer VM its DHCP server and its link', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const { sandboxId } = request();
    const { netnsPath, interfaces } = await network.attach(request({ sandboxId }), soon());
    const old = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, old.tap, soon());
    const newer = makeGuest(node, interfaces[0]?.mac ?? '');
    await network.joinTap(sandboxId, newer.tap, soon());
    const server = await serverPid(node, sandboxId);

    await network.removeTap(sandboxId, old.tap, soon());
    expect(() => run('nsenter', `--net=${netnsPath}`, 'ip', 'link', 'show', 'dev', old.tap)).toThrow(/does not exist/);
    expect(await serverPid(node, sandboxId)).toBe(server);
    expect(newer.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.removeTap(sandboxId, newer.tap, soon());
    expect(node.traces().processes).toEqual([]);
    await network.removeTap(sandboxId, newer.tap, soon());
    await network.detach(sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('by a daemon that started meanwhile knows the newer VM too', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const before = await node.open();
    const { sandboxId } = request();
    const { interfaces } = await before.attach(request({ sandboxId }), soon());
    const guest = makeGuest(node, interfaces[0]?.mac ?? '');
    await before.joinTap(sandboxId, guest.tap, soon());
    before.close();
    const network = await node.open();
    const { processes } = node.traces();
    await network.removeTap(sandboxId, 'vmlet-old', soon());
    await network.recover(new Map([[sandboxId, guest.tap]]), soon());
    expect(node.traces().processes).toEqual(processes);
    expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
    await network.detach(sandboxId, soon());
  });
});

it('joins a tap whose name a leftover in the pod has', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node)]);
  const network = await node.open();
  const { sandboxId } = request();
  const { netnsPath, interfaces } = await network.attach(request({ sandboxId }), soon());
  const guest = makeGuest(node, interfaces[0]?.mac ?? '');
  run('nsenter', `--net=${netnsPath}`, 'ip', 'tuntap', 'add', 'dev', guest.tap, 'mode', 'tap');
  await network.joinTap(sandboxId, guest.tap, soon());
  expect(guest.dhcp()?.['ip']).toBe('10.213.7.2');
  await network.detach(sandboxId, soon());
  expect(node.traces()).toEqual(nothing);
});

/** Kind, MAC, MTU and addresses of the interface that a plugin saw. */
function linkOf(state: unknown): unknown {
  return JSON.parse(JSON.stringify((state as { address: unknown }).address));
}
