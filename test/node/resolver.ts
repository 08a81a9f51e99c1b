import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { runProgram } from '../../src/lib/run-program.ts';
import { waitFor } from '../lib/wait.ts';
import type { PodNetwork } from './pod-network.ts';

/** What a resolver knows. */
export interface ResolverOptions {
  /** Its addresses, which get onto the loopback of the node's namespace: no pod's subnet holds them, so that pods reach them by a route. */
  readonly addresses: readonly string[];
  /** Names with their addresses. */
  readonly records: Readonly<Record<string, readonly string[]>>;
}

/** A DNS server beyond the pod network of a node, until it is disposed. It asks no other one. */
export async function startResolver({ netnsPath }: PodNetwork, dir: string, options: ResolverOptions): Promise<AsyncDisposable> {
  const signal = AbortSignal.timeout(20_000);
  const inside = [`--net=${netnsPath}`];
  for (const address of options.addresses) {
    const cidr = `${address}/${address.includes(':') ? '128' : '32'}`;
    await runProgram('nsenter', [...inside, 'ip', 'address', 'add', cidr, 'dev', 'lo', 'nodad'], { signal });
  }
  const records = Object.entries(options.records).map(([name, addresses]) => `--host-record=${[name, ...addresses].join(',')}`);
  const own = ['--conf-file=/dev/null', '--keep-in-foreground', '--log-facility=-', '--no-resolv', '--no-hosts', '--user=root'];
  const places = [
    `--pid-file=${join(dir, 'resolver.pid')}`,
    '--bind-interfaces',
    ...options.addresses.map((each) => `--listen-address=${each}`),
  ];
  const child = spawn('nsenter', [...inside, 'dnsmasq', ...own, ...places, ...records], { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(child, 'close');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said = (said + chunk).slice(-4_000)));
  const started = (): boolean => {
    if (child.exitCode !== null) throw new Error(`the resolver has ended: ${said}`);
    return said.includes('started');
  };
  await waitFor(started, { timeoutMs: 10_000, what: 'resolver' });
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await closed;
    },
  };
}
