import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { runProgram } from '../../src/lib/run-program.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { deletePod, readLog, runPod, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { runInGuest } from '../node/guest-agent.ts';
import { addPlugin, getFromPod, startNode, type TestNode } from '../node/node.ts';
import { processesWith } from '../node/processes.ts';
import { untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/tiny:1';
const bootMs = 240_000;
const second = { subnet: '10.89.7.0/24', gateway: '10.89.7.1', remote: '10.99.0.1' };

describe('a VM on two networks', () => {
  let node: TestNode;
  let running: RunningPod;
  let names: { readonly kill: () => void };

  /** The second network has a bridge of its own, an MTU of its own, and a route beside the default one. */
  beforeAll(async () => {
    node = await startNode({
      images: [{ name: image, file: await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000)) }],
      conflist: ({ conflist, dataDir, bridge }) => {
        const [plugin] = conflist.plugins;
        const ranges = [[{ subnet: second.subnet }]];
        const routes = [{ dst: `${second.remote}/32`, gw: second.gateway }];
        const ipam = { type: 'host-local', dataDir, ranges, routes };
        const other = { type: 'bridge', name: conflist.name, bridge: `${bridge}b`, isGateway: true, mtu: 1300, ipam };
        const delegates = [{ ...plugin, name: conflist.name, mtu: 1400 }, other];
        return { ...conflist, plugins: [{ type: 'several', delegates }] };
      },
      kubelet: { nodeDns: { servers: ['10.88.7.1'], searches: ['shop.example'], options: [] } },
    });
    addPlugin(node.network, 'several', `exec ${process.execPath} ${join(import.meta.dirname, '..', 'node', 'several-networks.ts')}`);
    const pod = vmPod({ name: 'web-0', image, spec: twoCpus });
    running = await waitFor(async () => runPod(node.kubelet, pod).catch(() => undefined), { timeoutMs: 60_000, what: 'pod' });
    names = serveNames(node);
    await untilLogged(logPath(), /login:/, bootMs);
  }, 600_000);
  afterAll(async () => {
    names?.kill();
    await node?.stop();
  });

  const logPath = (): string => running.containers[0]?.logPath ?? '';
  const inNode = async (...argv: readonly string[]): Promise<string> => {
    const { stdout } = await runProgram('nsenter', [`--net=${node.network.netnsPath}`, ...argv], { signal: AbortSignal.timeout(60_000) });
    return stdout;
  };
  const ask = async (path: string, timeoutMs = 30_000): Promise<string> => {
    const url = `http://${running.ips[0]}${path}`;
    const answer = await waitFor(async () => getFromPod(node.network, url, timeoutMs), { timeoutMs: 60_000, what: `answer of ${url}` });
    expect(answer.status).toBe(200);
    return answer.text;
  };

  it('has both interfaces with their addresses, MTU and routes; one default route, and DNS', async () => {
    const info = await ask('/cgi-bin/info');
    expect(running.ips).toHaveLength(1); // of the default network
    expect(info).toContain(`address eth0 ${running.ips[0]}/24`);
    expect(info).toMatch(/^address eth1 10\.89\.7\.2\/24$/m);
    expect(info).toMatch(/^interface eth0 \S+ mtu 1400$/m);
    expect(info).toMatch(/^interface eth1 \S+ mtu 1300$/m);
    expect(info.match(/^route default .*$/gm)).toEqual([expect.stringContaining(`via ${node.network.gateway} dev eth0`)]);
    expect(info).toMatch(/^route 10\.99\.0\.1 via 10\.89\.7\.1 dev eth1/m);
    expect(info.match(/^resolv nameserver .*$/gm)).toEqual([`resolv nameserver ${node.network.gateway}`]);
  });

  it('has them on the slots of their order, with a queue for each vCPU, and with offloads', async () => {
    const devices = await Promise.all(['eth0', 'eth1'].map(async (name) => ask(`/cgi-bin/net?device=${name}`)));
    expect(devices.map((text) => /^slot (.*)$/m.exec(text)?.[1])).toEqual(['0000:01:00.0', '0000:02:00.0']);
    for (const text of devices) {
      expect(text).toContain('queues 2');
      const features = /^features ([01]+)$/m.exec(text)?.[1] ?? '';
      const agreed = Object.fromEntries(Object.entries(featureBits).map(([name, bit]) => [name, features[bit] === '1']));
      expect(agreed).toEqual({
        csum: true,
        guestCsum: true,
        mtu: true,
        guestTso4: true,
        guestTso6: true,
        hostTso4: true,
        hostTso6: true,
        multiqueue: true,
      });
    }
  });

  it('exchanges ICMP, TCP and UDP with the node, both ways, on each network', async () => {
    const [first = ''] = running.ips;
    for (const address of [first, '10.89.7.2']) {
      await inNode('busybox', 'ping', '-c', '2', '-W', '5', address);
      expect((await getFromPod(node.network, `http://${address}/`, 30_000)).text.trim()).toBe('web-0');
      // Nobody listens: that the guest says so shows that a datagram has come, and its answer.
      expect(await inNode(process.execPath, '-e', refusedUdp(address))).toContain('ECONNREFUSED');
    }
    for (const address of [node.network.gateway, second.gateway]) expect(await ask(`/cgi-bin/net?ping=${address}`)).toContain('exit 0');
    const server = spawn('nsenter', [`--net=${node.network.netnsPath}`, process.execPath, '-e', greeter], { stdio: 'ignore' });
    try {
      for (const address of [node.network.gateway, second.gateway]) {
        const read = async (): Promise<boolean> => (await ask(`/cgi-bin/net?read=${address}:8080`)).includes('good morning');
        await waitFor(read, { timeoutMs: 30_000, what: `greeting of ${address}` });
      }
    } finally {
      server.kill('SIGKILL');
    }
  });

  it('sends and takes packets of the network’s MTU whole', async () => {
    const [first = ''] = running.ips;
    // 1400 less headers of IP and ICMP, as one packet; what is larger comes in two.
    for (const bytes of ['1372', '4000'])
      expect(await inNode('busybox', 'ping', '-c', '2', '-W', '5', '-s', bytes, first)).toContain('2 packets received');
  });

  it('resolves names by the resolver of the pod’s DNS configuration', async () => {
    const answer = await ask('/cgi-bin/net?resolve=db.shop.example');
    expect(answer).toContain('10.1.2.3');
    expect(answer).toContain('exit 0');
    expect(await ask('/cgi-bin/info')).toMatch(/^resolv search shop\.example$/m);
  });

  it('is not heard with another’s address as sender', async () => {
    const spoofed = '10.88.7.77';
    await inNode('ip', 'neighbour', 'replace', spoofed, 'lladdr', await macOf('eth0'), 'dev', node.network.bridge, 'nud', 'permanent');
    // That it has the address and has sent is seen by the count: any fault before that has the same exit status.
    expect(await ask(`/cgi-bin/net?spoof=${spoofed}`)).toMatch(/^2 packets transmitted, 0 packets received[^]*^exit 1$/m);
    expect(await ask(`/cgi-bin/net?ping=${node.network.gateway}`)).toContain('exit 0');
  });

  it('is counted on each interface, for the CRI', async () => {
    const { stats } = await node.kubelet.client.runtime.podSandboxStats({ podSandboxId: running.sandboxId });
    const { defaultInterface, interfaces } = stats?.linux?.network ?? {};
    expect(defaultInterface?.name).toBe('eth0');
    expect([defaultInterface, ...(interfaces ?? [])].map((each) => each?.name)).toEqual(expect.arrayContaining(['eth0', 'net1']));
    const other = interfaces?.find(({ name }) => name === 'net1');
    expect(other?.rxBytes?.value).toBeGreaterThan(0n);
    expect(other?.txBytes?.value).toBeGreaterThan(0n);
  });

  it('may touch all of its memory', async () => {
    const domain = domainNameOf(running.containers[0]?.id ?? '');
    const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
    const fill = 'mount -o remount,size=100% /tmp; dd if=/dev/zero of=/tmp/fill bs=1M count=150 && cat /dev/vda >/dev/null';
    expect(await runInGuest(uri, domain, { path: '/bin/sh', args: ['-c', `export PATH=/bin; ${fill}`] })).toMatchObject({ exitCode: 0 });
    const [qemu] = processesWith([`guest=${domain},`]);
    const [, residentKib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${qemu?.pid}/status`, 'utf8')) ?? [];
    // The guest's memory and what QEMU has at rest, 80 MiB.
    expect(Number(residentKib) / 1024).toBeGreaterThan(memoryMiB.limit - memoryMiB.overhead + 50);
  });

  // With all memory touched, QEMU's own peak, which is at a boot, must find room in the container's limit.
  it('gets its address again after a restart of its own, also when the DHCP server has been killed', async () => {
    const before = await ask('/cgi-bin/info');
    const servers = (): number[] =>
      processesWith([`${node.dir}/run`])
        .filter(({ command }) => command.startsWith('dnsmasq'))
        .map(({ pid }) => pid);
    const [killed = 0] = servers();
    expect(killed).toBeGreaterThan(1);
    process.kill(killed, 'SIGKILL');
    await waitFor(() => servers().some((pid) => pid !== killed), { timeoutMs: 60_000, what: 'another DHCP server' });
    expect(await ask('/cgi-bin/net?restart=now')).toContain('exit 0');
    // Its console tells: who asks a guest that is ending waits for an answer that never comes.
    const boots = async (): Promise<number> => (await readLog(logPath())).filter((line) => line.includes('tiny: boot finished')).length;
    await waitFor(async () => (await boots()) === 2, { timeoutMs: bootMs, what: 'second boot' });
    const after = await ask('/cgi-bin/info');
    const networkOf = (text: string): string[] =>
      text.split('\n').filter((line) => /^(interface|address|route) /.test(line) && !line.includes('fe80'));
    expect(networkOf(after)).toEqual(networkOf(before));
  });

  it('leaves nothing behind', async () => {
    names.kill();
    await inNode('ip', 'neighbour', 'flush', 'all', 'nud', 'permanent');
    await deletePod(node.kubelet, running, { graceSeconds: 20 });
    expect(await node.leftovers()).toEqual([]);
  });

  const macOf = async (name: string): Promise<string> =>
    new RegExp(`^interface ${name} (\\S+) `, 'm').exec(await ask('/cgi-bin/info'))?.[1] ?? '';
});

/** The container's limit, and what of it is QEMU's by default. */
const memoryMiB = { limit: 384, overhead: 128 };

/** Two vCPUs, so that interfaces have two queues. */
const twoCpus = {
  containers: [{ name: 'vm', image, resources: { limits: { memory: `${memoryMiB.limit}Mi`, cpu: '2' } } }],
};

/** Bits of virtio-net's features (virtio 1.2, section 5.1.3). */
const featureBits = { csum: 0, guestCsum: 1, mtu: 3, guestTso4: 7, guestTso6: 8, hostTso4: 11, hostTso6: 12, multiqueue: 22 };

/** A resolver on the node's address that knows one name. */
function serveNames({ network, dir }: TestNode): { readonly kill: () => void } {
  const args = ['--keep-in-foreground', '--conf-file=/dev/null', `--pid-file=${join(dir, 'names.pid')}`, '--no-resolv', '--no-hosts'];
  const own = [
    '--bind-interfaces',
    `--listen-address=${network.gateway}`,
    '--except-interface=lo',
    '--address=/db.shop.example/10.1.2.3',
    '--address=/db.shop.example/fd00:1:2::3',
  ];
  const resolver = spawn('nsenter', [`--net=${network.netnsPath}`, 'dnsmasq', ...args, ...own], { stdio: 'ignore' });
  return { kill: () => void resolver.kill('SIGKILL') };
}

/** A program that says something to whoever connects. */
const greeter = `require('node:net').createServer((socket) => socket.end('good morning')).listen(8080)`;

/** A program that sends a datagram to a closed port until it is told that it is closed. */
function refusedUdp(address: string): string {
  return `const socket = require('node:dgram').createSocket('udp4');
const end = (text) => { console.log(text); process.exit(0); };
socket.on('error', ({ code }) => end(code));
socket.connect(4242, '${address}', () => setInterval(() => socket.send('x', (error) => error && end(error.code)), 200));
setTimeout(() => end('nothing'), 20_000);`;
}
