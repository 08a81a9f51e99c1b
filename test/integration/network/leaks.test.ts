import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { bridgePlugin, makeNode, request, run, soon, type TestNode, type Traces } from './node.ts';

type Point = 'created' | 'spawn' | 'exit' | 'fail';

/** Cycles of each kind: more than a pod's life has programs, so that each is reached. */
const cycles = 25;

/** Runs a pod's life in a daemon of its own that is disturbed at a program; answers how many it started, or that it was killed. */
async function live(node: TestNode, wanted: { tap: string; nth: number; point: Point; sandboxId: string }): Promise<number | 'killed'> {
  const { netnsDir, stateDir, runtimeDir, confDir, binDir } = node;
  const { tap, nth, point, sandboxId } = wanted;
  const cni = { confDir, binDirs: [binDir], timeoutMs: 20_000, cacheDir: join(stateDir, 'cni'), retryMs: 60_000 };
  const life = {
    options: { netnsDir, stateDir, runtimeDir, cni },
    request: request({
      sandboxId,
      portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }],
      annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '10M' },
    }),
    tap,
    nth,
    point,
  };
  return new Promise((resolve, reject) => {
    const program = join(import.meta.dirname, 'pod-life.ts');
    execFile(process.execPath, [program, JSON.stringify(life)], (error, stdout, stderr) => {
      if (error?.signal === 'SIGKILL') resolve('killed');
      else if (error) reject(new Error(`program ${nth}, ${point}: ${stderr}`));
      else resolve(Number(stdout));
    });
  });
}

/** What is on the node, with taps and other links of the machine; rules, links and chains that plugins keep for the next pod are in all of them. */
function tracesOf(
  node: TestNode,
  tap: string,
): Traces & { readonly taps: boolean; readonly chains: readonly string[]; readonly sets: string } {
  const chains = node.inside('iptables-save').split('\n');
  return {
    ...node.traces(),
    taps: readFileSync('/proc/net/dev', 'utf8').includes(`${tap}:`),
    chains: chains.flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []),
    sets: node.inside('nft', 'list', 'tables').replaceAll(/^table ip6? \S+\n/gm, ''),
  };
}

it.each<readonly [Point, string]>([
  ['fail', 'a program that fails'],
  ['created', 'a daemon that is killed before a program is started'],
  ['spawn', 'a daemon that is killed while a program runs'],
  ['exit', 'a daemon that is killed after a program'],
])('nothing is left after %s: %s, at each program of 25 lives', { timeout: 600_000 }, async (point) => {
  const node = makeNode();
  const capable = (type: string, capability: string): object => ({ type, capabilities: { [capability]: true } });
  const plugins = [
    { type: 'firewall' },
    { type: 'tuning', mtu: 1400 },
    capable('portmap', 'portMappings'),
    capable('bandwidth', 'bandwidth'),
  ];
  node.configure([bridgePlugin(node), ...plugins]);
  const tap = `tl${process.pid % 100_000}${point.slice(0, 2)}`;
  onTestFinished(() => {
    if (readFileSync('/proc/net/dev', 'utf8').includes(`${tap}:`)) run('ip', 'link', 'del', 'dev', tap);
  });
  const programs = await live(node, { tap, nth: 0, point, sandboxId: request().sandboxId });
  expect(programs).toBeGreaterThan(15);
  const before = tracesOf(node, tap);
  expect(before).toMatchObject({ namespaces: [], leases: [], records: [], cached: [], processes: [], taps: false });

  const undisturbed: number[] = [];
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    const { sandboxId } = request();
    const nth = 1 + (cycle % Number(programs));
    const outcome = await live(node, { tap, nth, point, sandboxId });
    if (outcome !== 'killed') undisturbed.push(nth);
    if (point !== 'fail') {
      const network = await node.open();
      await network.recover(new Map(), soon());
      await network.removeTap(sandboxId, tap, soon());
      network.close();
    }
    expect({ nth, ...tracesOf(node, tap) }).toEqual({ nth, ...before });
  }
  // dnsmasq outlives a life: its end is no point of it.
  expect(undisturbed.length).toBeLessThanOrEqual(point === 'fail' ? cycles : 2);
});
