import { readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { live, type Disturbance } from './life.ts';
import { bridgePlugin, makeNode, request, run, soon, type TestNode, type Traces } from './node.ts';

/** A node whose pods use every plugin that leaves something on the node, and a tap's name. */
function makeBusyNode(tag: string): { readonly node: TestNode; readonly tap: string } {
  const node = makeNode();
  const capable = (type: string, capability: string): object => ({ type, capabilities: { [capability]: true } });
  const plugins = [
    { type: 'firewall' },
    { type: 'tuning', mtu: 1400 },
    capable('portmap', 'portMappings'),
    capable('bandwidth', 'bandwidth'),
  ];
  node.configure([bridgePlugin(node), ...plugins]);
  const tap = `tl${process.pid % 100_000}${tag}`;
  onTestFinished(() => {
    if (readFileSync('/proc/net/dev', 'utf8').includes(`${tap}:`)) run('ip', 'link', 'del', 'dev', tap);
  });
  return { node, tap };
}

/** A DHCP server's files are removed at the same time: one of them is a step. */
function isAside(name: string): boolean {
  return name.endsWith('.leases') || name.endsWith('.log');
}

interface AllTraces extends Traces {
  readonly tap: boolean;
  /** Chains of iptables and tables of nftables, of the whole node: plugins keep theirs for the next pod. */
  readonly chains: readonly string[];
  readonly tables: string;
}

function tracesOf(node: TestNode, tap: string): AllTraces {
  const chains = ['iptables-save', 'ip6tables-save'].flatMap((save) => node.inside(save).split('\n'));
  return {
    ...node.traces(),
    tap: readFileSync('/proc/net/dev', 'utf8').includes(`${tap}:`),
    chains: chains.flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []),
    tables: node.inside('nft', 'list', 'tables').replaceAll(/^table ip6? \S+\n/gm, ''),
  };
}

// The promise is made for a hundred disturbed lives: so many at least are lived, of each kind.
it.each<readonly [Disturbance, string, number]>([
  ['failed', 'ff', 40],
  ['killed before', 'kb', 40],
  ['killed during', 'kd', 20],
])('nothing is left of a pod when a step %s: each program and change of a file in turn', { timeout: 600_000 }, async (how, tag, lives) => {
  const { node, tap } = makeBusyNode(tag);
  const steps = await live(node, { tap, nth: 0, how, sandboxId: request().sandboxId });
  if (steps === 'killed') throw new Error('the undisturbed daemon was killed');
  const before = tracesOf(node, tap);
  expect(before).toMatchObject({ namespaces: [], leases: [], records: [], cached: [], processes: [], dhcp: [], tap: false });

  const undisturbed: string[] = [];
  const points = [...steps.entries()].filter(([, { kind, name }]) => kind === 'program' || (how !== 'killed during' && !isAside(name)));
  expect(points.length).toBeGreaterThanOrEqual(lives);
  for (const [index, { name }] of points) {
    const { sandboxId } = request();
    const step = `${index + 1}: ${name}`;
    const outcome = await live(node, { tap, nth: index + 1, how, sandboxId });
    if (outcome !== 'killed') undisturbed.push(step);
    if (how !== 'failed') {
      const network = await node.open();
      await network.recover(new Map(), soon());
      await network.removeTap(sandboxId, tap, soon());
      network.close();
    }
    expect({ step, ...tracesOf(node, tap) }).toEqual({ step, ...before });
  }
  expect(undisturbed).toHaveLength(how === 'failed' ? points.length : 0);
});
