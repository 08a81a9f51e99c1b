import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VmletError, type ErrorFacts } from '../../../src/model/errors.ts';
import { waitFor } from '../../lib/wait.ts';
import { bridgePlugin, makeGuest, makeNode, nothing, request, run, soon, type TestNode } from './node.ts';

async function failureOf(work: Promise<unknown>): Promise<{ message: string; facts: ErrorFacts }> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof VmletError)) throw new Error('no VmletError', { cause: error });
  return { message: error.message, facts: error.facts };
}

/** Attaches where the second plugin misbehaves, and expects that nothing is left. */
async function attachWith(
  double: object,
  node: TestNode = makeNode(),
  timeoutMs = 20_000,
): Promise<{ message: string; facts: ErrorFacts }> {
  node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, ...double }]);
  const network = await node.open(timeoutMs);
  const wanted = request();
  const failure = await failureOf(network.attach(wanted, soon()));
  expect(network.attachment(wanted.sandboxId)).toBeUndefined();
  expect(node.traces()).toEqual(nothing);
  return failure;
}

describe('a plugin that fails ADD', () => {
  it('is quoted with code, message and details', async () => {
    const { message, facts } = await attachWith({ onAdd: 'fail' });
    expect(message).toBe('CNI plugin double, ADD: error 107: the switch is on fire; port 7');
    expect(facts).toEqual({ code: 'CNI_FAILED', plugin: 'double', cniCode: 107, details: 'port 7' });
  });

  it.each([
    ['noisy', 'error 107: the switch is on fire; port 7; stderr: the fuse is blown'],
    ['wrong-version', 'its result is not valid: cniVersion: 2.0.0 is not supported; accepted: 0.3.0'],
    ['garbage', 'its result is not valid: the output is not JSON; all is well'],
    ['no-ips', 'the result has no IP address for eth0; vmlet needs a plugin with IPAM'],
    ['flood', 'too much output, killed'],
    ['crash', 'exit status 2 without a CNI error; panic: index out of range'],
  ])('with %s is rolled back', async (onAdd, said) => {
    const { message, facts } = await attachWith({ onAdd });
    expect(message).toContain(said);
    expect(facts).toMatchObject({ code: 'CNI_FAILED', plugin: 'double' });
  });

  it.each(['hang', 'stubborn', 'stubborn-child'])('and does not end (%s) is killed with what it started', async (onAdd) => {
    const node = makeNode();
    const { message } = await attachWith({ onAdd }, node, 8_000);
    expect(message).toBe('CNI plugin double, ADD: no answer within 8000 ms, killed');
    expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
    await expectGroupGone(node);
  });

  it('is rolled back for a caller who has gone', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onAdd: 'hang' }]);
    const network = await node.open();
    const caller = new AbortController();
    const attached = network.attach(request(), caller.signal);
    void waitFor(() => existsSync(`${node.journal}.pids`), { timeoutMs: 20_000, what: 'hanging plugin' }).then(() =>
      caller.abort(new Error('the kubelet has gone')),
    );
    await expect(attached).rejects.toThrow('the kubelet has gone');
    expect(node.traces()).toEqual(nothing);
    await expectGroupGone(node);
  });

  it.each(['slow', 'other-version'])('is none of these: %s', async (onAdd) => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node), { ...double, onAdd }, double]);
    const network = await node.open();
    const wanted = request();
    expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
    expect(node.calls()[1]?.input).toMatchObject({ prevResult: { cniVersion: '1.0.0', ips: [{ address: '10.213.7.2/24' }] } });
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('leaves nothing of the plugins before it that find their rules by a result alone', async () => {
    const node = makeNode();
    const chain = (onAdd: string): object[] => [bridgePlugin(node), { type: 'firewall' }, { type: 'double', journal: node.journal, onAdd }];
    node.configure(chain('pass'));
    const network = await node.open();
    const wanted = request();
    await network.attach(wanted, soon());
    expect(node.traces().iptables.join()).toContain('-A CNI-FORWARD -d 10.213.7.2/32');
    await network.detach(wanted.sandboxId, soon());
    const kept = node.traces();
    node.configure(chain('fail'));
    await expect(network.attach(request(), soon())).rejects.toThrow('the switch is on fire');
    expect(node.traces()).toEqual(kept);
    expect(node.calls().at(-1)).toMatchObject({ command: 'DEL', input: { prevResult: { ips: [{ address: '10.213.7.3/24' }] } } });
  });

  it('is told when its program is missing', async () => {
    const node = makeNode();
    rmSync(join(node.binDir, 'portmap'));
    node.configure([bridgePlugin(node), { type: 'portmap' }]);
    const network = await node.open();
    expect(network.condition()).toMatchObject({ ready: false, reason: 'CNIPluginMissing' });
    const { message } = await failureOf(network.attach(request(), soon()));
    expect(message).toBe(`CNI plugin portmap, ADD: no such program in /nonexistent, ${node.binDir}`);
    expect(node.traces()).toEqual(nothing);
  });

  it('is looked for among programs: a folder of its name is none', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const folders = join(node.dir, 'folders');
    mkdirSync(join(folders, 'bridge'), { recursive: true });
    const cni = { confDir: node.confDir, binDirs: [folders, node.binDir], timeoutMs: 20_000, cacheDir: join(node.stateDir, 'cni') };
    const network = await node.open(undefined, undefined, { cni });
    const wanted = request();
    expect((await network.attach(wanted, soon())).ips).toEqual(['10.213.7.2']);
    await network.detach(wanted.sandboxId, soon());
  });

  it('with an interface that no bridge takes is refused', async () => {
    const node = makeNode();
    node.configure([{ type: 'double', journal: node.journal, onAdd: 'layer-3' }]);
    const network = await node.open();
    const { message, facts } = await failureOf(network.attach(request(), soon()));
    expect(message).toContain('CNI plugin double, ADD: it made an interface of type none, not an Ethernet one');
    expect(facts).toMatchObject({ code: 'CNI_FAILED', plugin: 'double' });
    expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
    expect(node.traces()).toEqual(nothing);
  });
});

describe('a plugin that fails DEL', () => {
  it('does not stop the others, and is asked again', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node), { ...double, onDel: 'fail' }]);
    const network = await node.open();
    const wanted = request();
    await network.attach(wanted, soon());
    const { message, facts } = await failureOf(network.detach(wanted.sandboxId, soon()));
    expect(message).toBe('CNI plugin double, DEL: error 107: the switch is on fire; port 7');
    expect(facts).toMatchObject({ code: 'CNI_FAILED', plugin: 'double' });
    expect(node.traces().leases).toEqual([]);
    expect(await network.isAlive(wanted.sandboxId)).toBe(true);

    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });
});

it('a plugin that knows nothing of the container at DEL has nothing to remove', async () => {
  const node = makeNode();
  node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'unknown' }]);
  const network = await node.open();
  const wanted = request();
  await network.attach(wanted, soon());
  await network.detach(wanted.sandboxId, soon());
  expect(node.calls().map(({ command }) => command)).toEqual(['ADD', 'DEL']);
  expect(node.traces()).toEqual(nothing);
});

describe('a network that cannot be released', () => {
  it('is tried again in the background, and forgotten when that succeeds', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'fail' }]);
    const network = await node.open(20_000, 300);
    const wanted = request();
    await network.attach(wanted, soon());
    await expect(network.detach(wanted.sandboxId, soon())).rejects.toThrow('the switch is on fire');
    await waitFor(() => node.calls().filter(({ command }) => command === 'DEL').length > 1, { timeoutMs: 20_000, what: 'another DEL' });
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await waitFor(() => node.traces().records.length === 0, { timeoutMs: 20_000, what: 'release of the network' });
    expect(node.traces()).toEqual(nothing);
    await network.detach(wanted.sandboxId, soon());
  });

  it('does not keep its pod for ever, nor another pod at all; a restart goes on with it', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'fail' }]);
    const network = await node.open();
    const [wanted, other] = [request(), request()];
    await network.attach(wanted, soon());
    for (const _call of [1, 2]) await expect(network.detach(wanted.sandboxId, soon())).rejects.toThrow('the switch is on fire');
    await network.detach(wanted.sandboxId, soon());
    const made = node.calls().length;
    await network.detach(wanted.sandboxId, soon());
    expect(node.calls()).toHaveLength(made);
    expect(node.traces()).toMatchObject({ leases: [], records: [`${wanted.sandboxId}.json`] });
    expect((await network.attach(other, soon())).ips).toEqual(['10.213.7.3']);
    network.close();

    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    const next = await node.open();
    await next.recover(new Map(), soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('has its tap removed by several at a time: what is gone already is fine', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'fail' }]);
    const network = await node.open();
    const { sandboxId } = request();
    const { interfaces } = await network.attach(request({ sandboxId }), soon());
    for (const _call of [1, 2]) await expect(network.detach(sandboxId, soon())).rejects.toThrow('the switch is on fire');
    await network.detach(sandboxId, soon()); // no lock from now on
    const { tap } = makeGuest(node, interfaces[0]?.mac ?? '');
    const removals = Array.from({ length: 8 }, async () => network.removeTap(sandboxId, tap, soon()));
    expect((await Promise.allSettled(removals)).filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(run('ip', '-br', 'link')).not.toContain(tap);
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    network.close();
    await (await node.open()).recover(new Map(), soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('is left to the background also where plugins hang for longer than callers wait', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'hang' }]);
    const network = await node.open(50_000);
    const { sandboxId } = request();
    await network.attach(request({ sandboxId }), soon());
    const asked = async (times: number): Promise<boolean> =>
      waitFor(() => node.calls().filter(({ command }) => command === 'DEL').length === times, { timeoutMs: 20_000, what: `DEL ${times}` });
    for (const call of [1, 2, 3]) {
      const caller = new AbortController();
      const detached = network.detach(sandboxId, caller.signal);
      const gone = asked(call).then(() => caller.abort(new Error('the kubelet has gone')));
      await Promise.all([gone, expect(detached).rejects.toThrow('the kubelet has gone')]);
    }
    const hanging = network.recover(new Map(), soon()); // has it tried in the background, under its lock
    await asked(4);
    await network.removeTap(sandboxId, 'tnone', AbortSignal.timeout(10_000));
    await network.detach(sandboxId, AbortSignal.timeout(10_000));
    const failures = failedReleases(node);
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    network.close(); // cuts the DEL short, which counts as no failure
    await hanging.catch(() => undefined);
    const next = await node.open();
    expect(failedReleases(node)).toEqual(failures);
    await next.recover(new Map(), soon());
    expect(node.traces()).toEqual(nothing);
  });

  it('is not waited for by the release of another', async () => {
    const node = makeNode();
    const double = { type: 'double', journal: node.journal };
    node.configure([bridgePlugin(node), { ...double, onDel: 'hang' }]);
    const network = await node.open(10_000);
    const [wanted, other] = [request(), request()];
    await network.attach(wanted, soon());
    node.configure([bridgePlugin(node)]);
    await network.attach(other, soon());
    const hanging = network.detach(wanted.sandboxId, soon());
    let isOver = false;
    const end = (): void => void (isOver = true);
    void hanging.then(end, end);
    await waitFor(() => existsSync(`${node.journal}.pids`), { timeoutMs: 20_000, what: 'hanging plugin' });
    await network.detach(other.sandboxId, soon());
    expect(isOver).toBe(false);
    expect(node.traces().leases).toEqual(['10.213.7.2']);
    await expect(hanging).rejects.toThrow('no answer within 10000 ms');
    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });
});

describe('a plugin that never ends DEL', () => {
  it('is killed with what it started; the others have run, and the sandbox can be released later', async () => {
    const node = makeNode();
    node.configure([bridgePlugin(node), { type: 'double', journal: node.journal, onDel: 'stubborn' }]);
    const network = await node.open(8_000);
    const wanted = request();
    await network.attach(wanted, soon());
    const { message } = await failureOf(network.detach(wanted.sandboxId, soon()));
    expect(message).toBe('CNI plugin double, DEL: no answer within 8000 ms, killed');
    await expectGroupGone(node);
    expect(node.traces()).toMatchObject({ iptables: [], leases: [], records: [`${wanted.sandboxId}.json`] });

    writeFileSync(join(node.binDir, 'double'), '#!/bin/sh\nexit 0\n');
    await network.detach(wanted.sandboxId, soon());
    expect(node.traces()).toEqual(nothing);
  });
});

describe('a request that cannot be passed on', () => {
  it.each([
    ['dns_config.servers', { dns: { servers: ['ns.example'], searches: [], options: [] } }],
    ['dns_config.searches', { dns: { servers: [], searches: ['a,b'], options: [] } }],
    ['hostname', { hostname: 'web,1' }],
    ['metadata.name', { metadata: { name: 'a;K8S_POD_NAME=b', namespace: 'default', uid: 'u', attempt: 0 } }],
    ['annotation kubernetes.io/ingress-bandwidth', { annotations: { 'kubernetes.io/ingress-bandwidth': 'fast' } }],
  ])('is refused, naming %s', async (field, more) => {
    const node = makeNode();
    node.configure([bridgePlugin(node)]);
    const network = await node.open();
    const { message, facts } = await failureOf(network.attach(request(more), soon()));
    expect(message).toContain(`${field}: `);
    expect(facts).toEqual({ code: 'INVALID', field });
    expect(node.traces()).toEqual(nothing);
  });
});

/** The plugin that hung and its child, by the pids that it wrote down. */
async function expectGroupGone(node: TestNode): Promise<void> {
  const pids = readFileSync(`${node.journal}.pids`, 'utf8').split(' ');
  expect(pids).toHaveLength(2);
  await waitFor(() => pids.every((pid) => isGone(pid)), { timeoutMs: 20_000, what: 'end of the plugin and its child' });
}

function isGone(pid: string): boolean {
  try {
    return /^\S+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** How often the network of each sandbox could not be released, as recorded. */
function failedReleases(node: TestNode): readonly unknown[] {
  const dir = join(node.stateDir, 'attachments');
  const records = node
    .traces()
    .records.map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as { record: { failedReleases?: number } });
  return records.map(({ record }) => record.failedReleases);
}
