import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { identify } from '../../../src/lib/helper-process.ts';
import { randomId } from '../../../src/lib/ids.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeNode, request, soon, type TestNode } from './node.ts';

const within = { timeoutMs: 30_000, what: 'change of condition' };
const call = z.object({ command: z.string(), env: z.record(z.string(), z.string()), input: z.looseObject({}) });

/** STATUS and GC calls of the plugin that speaks 1.1.0. */
function calls(node: TestNode, command: 'STATUS' | 'GC'): readonly z.infer<typeof call>[] {
  const file = join(node.dir, 'calls');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  return lines.map((line) => call.parse(JSON.parse(line))).filter((each) => each.command === command);
}

function makeModernNode(more: object = {}, version = '1.1.0'): TestNode {
  const node = makeNode();
  const plugin = { ...bridgePlugin(node, { type: 'modern', ipMasq: false, capabilities: { dns: true } }), ...more };
  node.configure([plugin], undefined, version);
  return node;
}

describe('STATUS', () => {
  it('makes the network ready or not, with the plugin’s own words, while pods can still be made', async () => {
    const node = makeModernNode();
    const network = await node.open();
    expect(network.condition()).toMatchObject({ ready: true });
    const error = { cniVersion: '1.1.0', code: 50, msg: 'no address is left', details: 'all 254 are taken' };
    writeFileSync(join(node.dir, 'status'), JSON.stringify(error));
    await waitFor(() => !network.condition().ready, within);
    expect(network.condition()).toEqual({
      ready: false,
      reason: 'CNIPluginNotReady',
      message: 'CNI network "testnet" takes no pods: CNI plugin modern, STATUS: error 50: no address is left; all 254 are taken',
    });
    const wanted = request();
    expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
    await network.detach(wanted.sandboxId, soon());
    rmSync(join(node.dir, 'status'));
    await waitFor(() => network.condition().ready, within);

    const [asked] = calls(node, 'STATUS');
    expect(Object.keys(asked?.env ?? {}).toSorted()).toEqual(['CNI_COMMAND', 'CNI_PATH']);
    expect(asked?.input).toMatchObject({ name: 'testnet', cniVersion: '1.1.0', type: 'modern' });
    expect(asked?.input).not.toHaveProperty('capabilities');
  });

  it('that never comes keeps a daemon from being ready, not from starting', async () => {
    const node = makeModernNode();
    writeFileSync(join(node.dir, 'status'), 'hang');
    const network = await node.open(8_000);
    expect(network.condition()).toMatchObject({ ready: false, reason: 'CNIStatusUnknown' });
    await waitFor(() => network.condition().reason === 'CNIPluginNotReady', within);
    expect(network.condition().message).toContain('CNI plugin modern, STATUS: no answer within 8000 ms, killed');
    rmSync(join(node.dir, 'status'));
    await waitFor(() => network.condition().ready, within);
    expect(network.condition().ready).toBe(true);
  });
});

describe('GC', () => {
  it('at a start has the attachments that stay, those of another runtime too', async () => {
    const node = makeModernNode();
    const before = await node.open();
    const [live, gone] = [request(), request()];
    await before.attach(live, soon());
    await before.attach(gone, soon());
    before.close();
    const foreign = randomId();
    const results = join(node.dir, 'other-cni', 'results');
    mkdirSync(results, { recursive: true });
    const cached = { kind: 'cniCacheV1', containerId: foreign, ifName: 'eth0', networkName: 'testnet' };
    writeFileSync(join(results, `testnet-${foreign}-eth0`), JSON.stringify(cached));
    const leases = join(node.dir, 'ipam', 'testnet');
    writeFileSync(join(leases, '10.213.7.50'), `${foreign}\r\neth0`);
    writeFileSync(join(leases, '10.213.7.51'), `${randomId()}\r\neth0`);

    const network = await node.open();
    await network.recover(new Map([[live.sandboxId, undefined]]), soon());
    const next = request();
    expect((await network.attach(next, soon())).ips).toHaveLength(1); // waits for GC
    const [asked, ...more] = calls(node, 'GC');
    expect(more).toEqual([]);
    const valid = [live.sandboxId, foreign].map((containerID) => ({ containerID, ifname: 'eth0' }));
    expect(asked?.input['cni.dev/valid-attachments']).toEqual(valid);
    expect(asked?.input['cni.dev/attachments']).toEqual(valid);
    expect(Object.keys(asked?.env ?? {}).toSorted()).toEqual(['CNI_COMMAND', 'CNI_PATH']);
    expect(node.traces().leases).toContain('10.213.7.50');
    expect(node.traces().leases).not.toContain('10.213.7.51');
    for (const { sandboxId } of [live, next]) await network.detach(sandboxId, soon());
    expect(node.traces()).toMatchObject({ leases: ['10.213.7.50'], records: [], cached: [] });
    expect(readdirSync(results)).toEqual([`testnet-${foreign}-eth0`]);
  });

  it('is due, once, when there is a network at last, with the attachments of then', async () => {
    const node = makeModernNode();
    const before = await node.open();
    const [live, next] = [request(), request()];
    await before.attach(live, soon());
    before.close();
    rmSync(join(node.confDir, '10-test.conflist'));
    const network = await node.open();
    await network.recover(new Map([[live.sandboxId, undefined]]), soon());
    node.configure([bridgePlugin(node)]); // of a version that has no GC
    await network.attach(next, soon());
    const plugin = bridgePlugin(node, { type: 'modern', ipMasq: false });
    node.configure([plugin], undefined, '1.1.0');
    await waitFor(() => calls(node, 'GC').length > 0, { timeoutMs: 15_000, what: 'GC' });
    const listed = z.array(z.object({ containerID: z.string() })).parse(calls(node, 'GC')[0]?.input['cni.dev/valid-attachments']);
    expect(listed.map(({ containerID }) => containerID)).toEqual([live.sandboxId, next.sandboxId]);
    node.configure([{ ...plugin, mtu: 1400 }], undefined, '1.1.0');
    for (const { sandboxId } of [live, next]) await network.detach(sandboxId, soon());
    expect(calls(node, 'GC')).toHaveLength(1);
  });

  it('waits for its plugins, and heeds a list that does not want it any more', async () => {
    const node = makeModernNode();
    const file = join(node.binDir, 'modern');
    const [plugin, list] = [readFileSync(file), join(node.confDir, '10-test.conflist')];
    rmSync(file);
    const network = await node.open();
    await network.recover(new Map(), soon());
    expect(network.condition()).toMatchObject({ reason: 'CNIPluginMissing' });
    const unwanted = { ...(JSON.parse(readFileSync(list, 'utf8')) as object), disableGC: true };
    writeFileSync(list, JSON.stringify(unwanted));
    writeFileSync(file, plugin, { mode: 0o755 });
    const wanted = request();
    await network.attach(wanted, soon());
    await network.detach(wanted.sandboxId, soon());
    expect(calls(node, 'GC')).toEqual([]);
    writeFileSync(list, JSON.stringify({ ...unwanted, disableGC: false }));
    await waitFor(() => calls(node, 'GC').length > 0, { timeoutMs: 20_000, what: 'GC' });
    expect(calls(node, 'GC')).toHaveLength(1);
  });

  it('comes before what is released in the background, again and again', async () => {
    const node = makeModernNode();
    const before = await node.open();
    for (const wanted of Array.from({ length: 7 }, () => request())) await before.attach(wanted, soon());
    before.close();
    const order = join(node.dir, 'order');
    precede(node, 'DEL', `echo DEL >> ${order}; until [ -e ${node.dir}/go ]; do sleep 0.1; done; exit 1`);
    precede(node, 'GC', `echo GC >> ${order}`);
    const network = await node.open(20_000, 100, { releasePatienceMs: 500 });
    await network.recover(new Map(), soon());
    writeFileSync(join(node.dir, 'go'), '');
    await waitFor(() => existsSync(order) && readFileSync(order, 'utf8').includes('GC'), { timeoutMs: 20_000, what: 'GC' });
    expect(readFileSync(order, 'utf8')).toMatch(/^(DEL\n){1,4}GC\n/); // as many as are released at a time
    await waitFor(() => readFileSync(order, 'utf8').split('DEL').length > 7, { timeoutMs: 20_000, what: 'the releases that waited' });
  });

  it.each<readonly [string, (node: TestNode) => void]>([
    ['an attachment cannot be read', ({ stateDir }) => writeFileSync(join(stateDir, 'attachments', `${randomId()}.json`), '')],
    [
      'another runtime’s cannot be read',
      ({ dir }) => {
        mkdirSync(join(dir, 'other-cni', 'results'), { recursive: true });
        appendFileSync(join(dir, 'other-cni', 'results', `testnet-${randomId()}-eth0`), '{');
      },
    ],
    [
      'the configuration does not want it',
      ({ confDir }) => {
        const file = join(confDir, '10-test.conflist');
        writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), disableGC: true }));
      },
    ],
  ])('is left out where %s', async (_what, spoil) => {
    const node = makeModernNode();
    (await node.open()).close();
    spoil(node);
    const network = await node.open();
    await network.recover(new Map(), soon());
    const wanted = request();
    await network.attach(wanted, soon());
    await network.detach(wanted.sandboxId, soon());
    expect(calls(node, 'GC')).toEqual([]);
  });
});

/** Has the plugin do something first at a command. */
function precede(node: TestNode, command: string, what: string): void {
  const file = join(node.binDir, 'modern');
  const [shell, ...lines] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [shell, `[ "$CNI_COMMAND" != ${command} ] || { ${what}; }`, ...lines].join('\n'));
}

/** A daemon that is killed by its plugin's GC, which then does `first` and goes on; answers the plugin's process. */
function killedCollecting(node: TestNode, first: string): number {
  const told = join(node.dir, 'told');
  precede(node, 'GC', `echo $$ > ${node.dir}/pid; cat > ${told}; kill -9 $PPID; ${first}; exec < ${told}`);
  const { netnsDir, stateDir, runtimeDir, confDir, binDir } = node;
  const cni = { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni') };
  const options = { netnsDir, stateDir, runtimeDir, cni };
  const argument = JSON.stringify({ options, sandboxId: randomId(), act: 'collect', nth: 1_000, point: 'created' });
  const { signal, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'killed-daemon.ts'), argument], {
    encoding: 'utf8',
  });
  if (signal !== 'SIGKILL') throw new Error(`the daemon was not killed: ${stderr}`);
  return Number(readFileSync(join(node.dir, 'pid'), 'utf8'));
}

describe('GC that outlives its daemon', () => {
  it('is waited for by the next, whose pods it knows nothing of', async () => {
    const node = makeModernNode();
    const pid = killedCollecting(node, 'sleep 2');
    const network = await node.open();
    const wanted = request();
    expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
    await waitFor(() => identify(pid) === undefined, { timeoutMs: 15_000, what: 'end of GC' });
    expect(calls(node, 'GC')).toHaveLength(1);
    expect(node.traces().leases).toEqual(['10.213.7.2']);
    await network.detach(wanted.sandboxId, soon());
  });

  it('is ended by the next where it hangs', async () => {
    const node = makeModernNode();
    const pid = killedCollecting(node, 'sleep 1000');
    onTestFinished(() => void (identify(pid) && process.kill(-pid, 'SIGKILL')));
    await node.open();
    expect(identify(pid)).toBeUndefined();
  });
});

it('a network of 1.0.0 is neither asked nor told', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node), { type: 'double', journal: node.journal }]);
  const network = await node.open();
  await network.recover(new Map(), soon());
  const wanted = request();
  await network.attach(wanted, soon());
  await network.detach(wanted.sandboxId, soon());
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
});
