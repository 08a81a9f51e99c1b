import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureDebianImage } from '../../images/debian/image.ts';
import { runProgram, tryProgram } from '../../src/lib/run-program.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { deletePod, runPod, stateNumbers, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { runInGuest } from '../node/guest-agent.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { makeOtherMachine, type OtherMachine } from '../node/other-machine.ts';
import { startPeer, type Peer } from '../node/peer.ts';
import { startResolver } from '../node/resolver.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/debian:1';
/** Emulated on an idle machine the guest takes a minute, on a busy one three, on one that is slow besides more. */
const bootMs = 900_000;
const buildMs = 1_200_000;

/** Addresses that no pod's subnet holds: only by its default routes does the guest reach them. */
const beyond = { ipv4: '192.0.2.53', ipv6: '2001:db8:53::53' };
/** Another machine, and the node on the link to it: as whom it sees the guest, which is masqueraded. */
const machineAt = {
  ipv4: { machine: '198.51.100.2', node: '198.51.100.1', prefix: 24 },
  ipv6: { machine: '2001:db8:99::2', node: '2001:db8:99::1', prefix: 64 },
  port: 7,
};
const service = { name: 'db.corp.example', ipv4: '198.51.100.7', ipv6: '2001:db8:7::7' };

describe('a stock cloud image on a dual-stack network', () => {
  let file: string;
  let node: TestNode;
  let resolver: AsyncDisposable;
  let machine: OtherMachine;
  let peer: Peer;
  let running: RunningPod;
  const vm = (): RunningPod['containers'][number] => {
    const [container] = running.containers;
    if (!container) throw new Error('the pod has no container');
    return container;
  };
  const addressOf = (family: 'ipv4' | 'ipv6'): string => {
    const address = running.ips.find((each) => each.includes(':') === (family === 'ipv6'));
    if (address === undefined) throw new Error(`the pod has no address of ${family}: ${running.ips.join(', ')}`);
    return address;
  };
  /** What sshd says to an HTTP client before it closes the connection: its banner. */
  const banner = async (address: string, { from, netnsPath = node.network.netnsPath }: Client = {}): Promise<string> => {
    const host = address.includes(':') ? `[${address}]` : address;
    const source = from === undefined ? [] : ['--interface', `host!${from}`];
    const curl = ['curl', '--silent', '--show-error', '--http0.9', '--max-time', '10', ...source, `http://${host}:22/`];
    const ask = async (): Promise<string> => {
      const argv = [`--net=${netnsPath}`, ...curl];
      const { stdout, stderr } = await tryProgram('nsenter', argv, { signal: AbortSignal.timeout(20_000) });
      if (stdout === '') throw new Error(stderr);
      return stdout;
    };
    return waitFor(ask, { timeoutMs: 60_000, what: `banner of ${address}` });
  };
  const inGuest = async (path: string, ...args: readonly string[]): Promise<string> => {
    const uri = `qemu+unix:///system?socket=${node.runtimeDir}/libvirt/libvirt-sock`;
    const outcome = await runInGuest(uri, domainNameOf(vm().id), { path, args });
    expect(outcome).toMatchObject({ exitCode: 0 });
    return outcome.stdout;
  };

  beforeAll(async () => {
    file = await ensureDebianImage(() => undefined, AbortSignal.timeout(buildMs));
    node = await startNode({
      images: [{ name: image, file }],
      dualStack: true,
      kubelet: { nodeDns: { servers: [beyond.ipv4, beyond.ipv6], searches: ['corp.example'], options: [] } },
    });
    resolver = await startResolver(node.network, node.dir, {
      addresses: Object.values(beyond),
      records: { [service.name]: [service.ipv4, service.ipv6] },
    });
    machine = await makeOtherMachine(node.network, node.dir);
    for (const [index, { node: near, machine: far, prefix }] of [machineAt.ipv4, machineAt.ipv6].entries()) {
      await machine.link({ name: `uplink${index}`, address: `${near}/${prefix}` }, { name: `m${index}`, address: `${far}/${prefix}` });
      await machine.inside('ip', 'route', 'add', 'default', 'via', near);
    }
    peer = await startPeer(machine.netnsPath, { port: machineAt.port });
    running = await runPod(node.kubelet, vmPod({ name: 'cloud-0', image, memory: '768Mi', cpu: '2', graceSeconds: 240 }));
  }, buildMs + 120_000);
  afterAll(async () => {
    for (const part of [peer, machine, resolver]) await part?.[Symbol.asyncDispose]();
    await node?.stop();
  });

  it('is a sound qcow2 of less than 160 MiB', async () => {
    expect(statSync(file).size).toBeLessThan(160 * 2 ** 20);
    const check = ['check', '-f', 'qcow2', '--output=json', file];
    const { stdout } = await runProgram('qemu-img', check, { signal: AbortSignal.timeout(60_000) });
    expect(JSON.parse(stdout)).toMatchObject({ format: 'qcow2', 'check-errors': 0 });
  });

  it('gets an address of each family from the CNI', () => {
    expect(addressOf('ipv4')).toMatch(/^10\.88\.7\./);
    expect(addressOf('ipv6')).toMatch(/^fd00:10:88:7::/);
  });

  it('is configured by cloud-init from its seed', { timeout: bootMs + 10_000 }, async () => {
    const lines = await untilLogged(vm().logPath, /Cloud-init .* finished at /, bootMs);
    expect(lines.find((line) => line.includes('finished at'))).toContain('DataSourceNoCloud');
    await untilLogged(vm().logPath, /cloud-0 login:/, bootMs);
  });

  it.each(['ipv4', 'ipv6'] as const)('answers on its %s address', async (family) => {
    expect(await banner(addressOf(family))).toMatch(/^SSH-2\.0-OpenSSH/);
  });

  it.each(['ipv4', 'ipv6'] as const)('has a default route for %s', async (family) => {
    expect(await banner(addressOf(family), { from: beyond[family] })).toMatch(/^SSH-2\.0-OpenSSH/);
  });

  it.each(['ipv4', 'ipv6'] as const)('exchanges ICMP, TCP and UDP with another machine, both ways, by %s', async (family) => {
    const [address, { machine: far, node: near }] = [addressOf(family), machineAt[family]];
    expect(await machine.inside('busybox', 'ping', '-c', '2', '-W', '5', address)).toContain('2 packets received');
    expect(await banner(address, { netnsPath: machine.netnsPath })).toMatch(/^SSH-2\.0-OpenSSH/);
    const sending = setInterval(() => peer.send(address, 9, 'm'.repeat(4_000)), 200);
    const heard = await inGuest('/usr/bin/python3', '-c', hear, address).finally(() => clearInterval(sending));
    expect(heard).toBe(`4000 ${far}\n`);

    await inGuest('/usr/bin/ping', '-c', '2', '-W', '5', far);
    expect(await inGuest('/usr/bin/python3', '-c', ask, far, String(machineAt.port))).toBe(`from ${near}\nfrom ${near} 4000 bytes\n`);
  });

  it('resolves names with the pod’s servers and search domain', async () => {
    expect(await inGuest('/usr/bin/resolvectl', 'dns', 'eth0')).toContain(`${beyond.ipv4} ${beyond.ipv6}`);
    const answers = await inGuest('/usr/bin/getent', 'ahosts', 'db');
    expect(answers).toContain(service.ipv4);
    expect(answers).toContain(service.ipv6);
  });

  it('has nothing that failed', async () => {
    expect((await inGuest('/usr/bin/systemctl', 'list-units', '--failed', '--plain', '--no-legend')).trim()).toBe('');
  });

  it('powers off when it is stopped, and leaves nothing behind', async () => {
    const [status] = await deletePod(node.kubelet, running);
    expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 0, reason: 'Completed' });
    for (const part of [peer, machine, resolver]) await part[Symbol.asyncDispose]();
    await requireClean(node);
    expect(node.logTail(1_000)).not.toMatch(/"level":"error"/);
  });
});

/** From where a client connects: an address of its namespace, the node's by default. */
interface Client {
  readonly from?: string;
  readonly netnsPath?: string;
}

/** python3 -c: waits for a datagram to an address of the guest; prints its bytes and its sender. */
const hear = `import socket, sys
udp = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 9))
udp.settimeout(30)
data, sender = udp.recvfrom(65535)
print(len(data), sender[0])`;

/** python3 -c: prints what a peer says by TCP, and what it answers to a datagram; one that gets lost is sent again. */
const ask = `import socket, sys
peer = (sys.argv[1], int(sys.argv[2]))
tcp = socket.create_connection(peer, 30)
print(tcp.recv(100).decode().strip())
udp = socket.socket(tcp.family, socket.SOCK_DGRAM)
udp.settimeout(2)
for attempt in range(15):
    udp.sendto(b'g' * 4000, peer)
    try:
        print(udp.recv(100).decode().strip())
        break
    except socket.timeout:
        pass`;
