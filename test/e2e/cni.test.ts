import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { deletePod, runPod, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { addPlugin, getFromPod, startNode, writeConflist, type TestNode } from '../node/node.ts';
import { makeOtherMachine, type OtherMachine } from '../node/other-machine.ts';
import { leasedAddresses } from '../node/pod-network.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/tiny:1';
const signal = (): AbortSignal => AbortSignal.timeout(60_000);

const qdisc = z.array(
  z.looseObject({ kind: z.string(), options: z.looseObject({ rate: z.number().optional() }), drops: z.number(), bytes: z.number() }),
);
/** node -e: sends datagrams to a port at which nobody listens. */
const flood = `const [, ip, count, bytes] = process.argv; const s = require('node:dgram').createSocket('udp4'); let left = +count;
for (let i = 0; i < +count; i++) s.send(Buffer.alloc(+bytes), 9, ip, () => { if (--left === 0) s.close(); }); s.on('error', () => {});`;

describe('a VM pod with a host port and a bandwidth', () => {
  const [hostPort, bits, outside] = [8080, 1_000_000, '198.51.100'] as const;
  let node: TestNode;
  let machine: OtherMachine;
  let running: RunningPod;
  const inside = async (...argv: readonly string[]): Promise<string> =>
    (await runProgram('nsenter', [`--net=${node.network.netnsPath}`, ...argv], { signal: signal() })).stdout;

  beforeAll(async () => {
    const capable = (capability: string, type: string): object => ({ type, capabilities: { [capability]: true } });
    node = await startNode({
      images: [{ name: image, file: await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000)) }],
      conflist: ({ conflist }) => ({
        ...conflist,
        plugins: [...conflist.plugins, { ...capable('portMappings', 'portmap') }, { ...capable('bandwidth', 'bandwidth') }],
      }),
    });
    machine = await makeOtherMachine(node.network, node.dir);
    await machine.link({ name: 'uplink', address: `${outside}.1/24` }, { name: 'm0', address: `${outside}.2/24` });
    await inside('ip', 'address', 'add', `${outside}.3/24`, 'dev', 'uplink');
    const annotations = { 'kubernetes.io/ingress-bandwidth': '1M', 'kubernetes.io/egress-bandwidth': '2M' };
    const ports = [
      { containerPort: 80, hostPort },
      { containerPort: 80, hostPort: hostPort + 1, hostIP: `${outside}.3` },
    ];
    const containers = [{ name: 'vm', image, ports, resources: { limits: { memory: '256Mi' } } }];
    running = await runPod(node.kubelet, vmPod({ name: 'web', image, annotations, spec: { containers } }));
    await untilLogged(running.containers[0]?.logPath ?? '', /login:/, 240_000);
  }, 600_000);
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]();
    await node?.stop();
  });

  it('is reached through the node from another machine', async () => {
    const url = `http://${outside}.1:${hostPort}/`;
    const answer = await waitFor(async () => getFromPod(machine, url), { timeoutMs: 30_000, what: `answer of ${url}` });
    expect(answer).toEqual({ status: 200, text: 'web\n' });
  });

  it('is reached at one address of the node alone, where the port says so', async () => {
    const get = async (address: string): Promise<string> =>
      getFromPod(machine, `http://${address}:${hostPort + 1}/`, 30_000).then(
        ({ text }) => text,
        () => 'refused',
      );
    expect(await get(`${outside}.3`)).toBe('web\n');
    expect(await get(`${outside}.1`)).toBe('refused');
  });

  it('is limited in both directions', async () => {
    const shapers = async (): Promise<z.infer<typeof qdisc>> =>
      qdisc.parse(JSON.parse(await inside('tc', '-json', '-statistics', 'qdisc', 'show'))).filter(({ kind }) => kind === 'tbf');
    const rates = (await shapers()).map(({ options }) => options.rate ?? 0);
    expect(rates.toSorted((a, b) => a - b)).toEqual([bits / 8, bits / 4]);

    // 400 datagrams of 1400 bytes at once are more than burst and queue of 1 Mbit/s take.
    const [count, bytes] = [400, 1_400];
    await inside(process.execPath, '-e', flood, running.ips[0] ?? '', String(count), String(bytes));
    const toGuest = (await shapers()).find(({ options }) => options.rate === bits / 8);
    expect(toGuest?.drops).toBeGreaterThan(0);
    expect(toGuest?.bytes).toBeLessThan((count * bytes) / 2);
    // What the guest answers passes the other one, unhindered.
    const answer = await getFromPod(node.network, `http://${running.ips[0]}/cgi-bin/info`, 30_000);
    expect(answer.status).toBe(200);
  });

  it('leaves no rule, link or lease behind', async () => {
    expect(await inside('iptables-save')).toContain(`--dport ${hostPort}`);
    await deletePod(node.kubelet, running);
    await machine[Symbol.asyncDispose]();
    const rules = (await inside('iptables-save')).split('\n').filter((line) => line.startsWith('-A') && !line.includes('CNI-HOSTPORT-'));
    expect(rules).toEqual([]);
    expect(await leasedAddresses(node.network)).toEqual([]);
    expect(await inside('ip', '-br', 'link')).not.toMatch(/veth|bwp/);
  });
});

describe('a network that speaks 1.1.0', () => {
  const boot = bootImages('halt');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images, conflist: () => undefined });
    const program = join(import.meta.dirname, '..', 'node', 'modern-plugin.ts');
    addPlugin(node.network, 'modern', `exec ${process.execPath} ${program} ${join(node.network.binDir, 'bridge')} ${node.network.binDir}`);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });
  const file = (name: string): string => join(node.network.binDir, name);
  const networkReady = async (): Promise<{ status: boolean; reason: string; message: string } | undefined> => {
    const { status } = await node.kubelet.client.runtime.status({});
    return status?.conditions.find(({ type }) => type === 'NetworkReady');
  };
  const isReady = async (wanted: boolean): Promise<void> =>
    void (await waitFor(async () => (await networkReady())?.status === wanted, { timeoutMs: 30_000, what: `NetworkReady=${wanted}` }));

  it('is ready as its plugin says, in the plugin’s words', async () => {
    const { conflist } = node.network;
    const plugins = conflist.plugins.map((plugin) => ({ ...plugin, type: 'modern', ipMasq: false }));
    writeFileSync(file('status'), JSON.stringify({ cniVersion: '1.1.0', code: 50, msg: 'the agent has not started' }));
    await writeConflist(node.cniConfDir, { ...conflist, cniVersion: '1.1.0', plugins });
    await waitFor(async () => (await networkReady())?.reason === 'CNIPluginNotReady', { timeoutMs: 30_000, what: 'word of the plugin' });
    expect((await networkReady())?.message).toContain('CNI plugin modern, STATUS: error 50: the agent has not started');
    rmSync(file('status'));
    await isReady(true);
    writeFileSync(file('status'), JSON.stringify({ cniVersion: '1.1.0', code: 51, msg: 'the agent has gone' }));
    await isReady(false);
    rmSync(file('status'));
    await isReady(true);
  });

  it('is told at a start which pods there are', async () => {
    const running = await runPod(node.kubelet, vmPod({ image: bootImage('halt') }));
    const stale = join(node.network.dataDir, node.network.name, '10.88.7.200');
    writeFileSync(stale, `${'ab'.repeat(32)}\r\neth0`);
    await node.killDaemon();
    await node.startDaemon();
    await waitFor(() => !existsSync(stale), { timeoutMs: 30_000, what: 'GC' });
    expect(readFileSync(file('calls'), 'utf8')).toContain(
      `"cni.dev/valid-attachments":[{"containerID":"${running.sandboxId}","ifname":"eth0"}]`,
    );
    expect(await leasedAddresses(node.network)).toEqual(running.ips);
    await deletePod(node.kubelet, running, { graceSeconds: 2 });
    await requireClean(node);
  });
});
