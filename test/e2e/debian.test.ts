import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureDebianImage } from '../../images/debian/image.ts';
import { runProgram, tryProgram } from '../../src/lib/run-program.ts';
import { domainNameOf } from '../../src/model/container.ts';
import { deletePod, runPod, stateNumbers, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { runInGuest } from '../node/guest-agent.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { startResolver } from '../node/resolver.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/debian:1';
/** Emulated on an idle machine the guest takes a minute, on a busy one three. */
const bootMs = 400_000;
const buildMs = 1_200_000;

/** Addresses that no pod's subnet holds: only by its default routes does the guest reach them. */
const beyond = { ipv4: '192.0.2.53', ipv6: '2001:db8:53::53' };
const service = { name: 'db.corp.example', ipv4: '198.51.100.7', ipv6: '2001:db8:7::7' };

describe('a stock cloud image on a dual-stack network', () => {
  let file: string;
  let node: TestNode;
  let resolver: AsyncDisposable;
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
  const banner = async (address: string, from?: string): Promise<string> => {
    const host = address.includes(':') ? `[${address}]` : address;
    const source = from === undefined ? [] : ['--interface', `host!${from}`];
    const curl = ['curl', '--silent', '--show-error', '--http0.9', '--max-time', '10', ...source, `http://${host}:22/`];
    const ask = async (): Promise<string> => {
      const argv = [`--net=${node.network.netnsPath}`, ...curl];
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
    running = await runPod(node.kubelet, vmPod({ name: 'cloud-0', image, memory: '768Mi', cpu: '2', graceSeconds: 120 }));
  }, buildMs + 120_000);
  afterAll(async () => {
    await resolver?.[Symbol.asyncDispose]();
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
    expect(await banner(addressOf(family), beyond[family])).toMatch(/^SSH-2\.0-OpenSSH/);
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
    await resolver[Symbol.asyncDispose]();
    await requireClean(node);
    expect(node.logTail(1_000)).not.toMatch(/"level":"error"/);
  });
});
