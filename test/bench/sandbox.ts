import { loadavg } from 'node:os';
import { makeCleanupStack } from '../../src/lib/cleanup-stack.ts';
import { vmPod } from '../e2e/guests.ts';
import { cpuTime } from '../lib/cpu-time.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { reportFailures } from './by-hand.ts';
import { excessFigure, ratioFigure, type Figure } from './figure.ts';
import { addPod, removePod } from './network-by-hand.ts';
import { builtDaemon, interleaved, makeFiles, removeSandbox, runSandbox, timed, type Samples } from './vm-starts.ts';

const rounds = { warmUps: 2, rounds: 10 };

/**
 * RunPodSandbox against `ip netns add` and the same CNI plugins by hand: what it costs more in CPU time, of the daemon and of all that it
 * starts; and how much longer it takes, which has no bar.
 */
export async function sandbox(signal: AbortSignal): Promise<readonly Figure[]> {
  // CPU times come in hundredths of a second, so that one pod is too little to be measured.
  const { one, other } = await compare({ pods: 5, order: inTurn }, signal);
  const load = loadavg()[0] ?? 0;
  const cpu = { bench: 'sandbox', metric: 'CPU of RunPodSandbox beyond by hand', bar: 60, load };
  const time = { bench: 'sandbox', metric: 'RunPodSandbox / by hand', load };
  return [excessFigure(cpu, one.map(cpuMs), other.map(cpuMs)), ratioFigure(time, one.map(wallMs), other.map(wallMs))];
}

/** Ten calls of RunPodSandbox at once against ten pods by hand at once, each until the last one is there. */
export async function sandboxTen(signal: AbortSignal): Promise<readonly Figure[]> {
  const pods = 10;
  const { one, other } = await compare({ pods, order: atOnce }, signal);
  const total = (cost: Cost): number => cost.wallMs * pods;
  const what = { bench: 'sandbox-10', metric: 'ten RunPodSandbox at once / by hand', bar: 1.5, load: loadavg()[0] ?? 0 };
  return [ratioFigure(what, one.map(total), other.map(total))];
}

/** What a pod cost on the average of a round, milliseconds. */
interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

const wallMs = (cost: Cost): number => cost.wallMs;
const cpuMs = (cost: Cost): number => cost.cpuMs;

type Order = <T>(items: readonly T[], work: (item: T) => Promise<void>) => Promise<void>;

const inTurn: Order = async (items, work) => {
  for (const item of items) await work(item);
};
const atOnce: Order = async (items, work) => {
  await Promise.all(items.map(work));
};

interface Load {
  readonly pods: number;
  readonly order: Order;
}

async function compare(load: Load, signal: AbortSignal): Promise<Samples<Cost>> {
  await using node = await startNode({ signal, ...builtDaemon() });
  return await interleaved(
    rounds,
    async () => byVmlet(node, load, signal),
    async () => byHand(node, load, signal),
  );
}

async function byVmlet(node: TestNode, { pods, order }: Load, signal: AbortSignal): Promise<Cost> {
  const wanted = Array.from({ length: pods }, (_, index) => vmPod({ name: `pod-${index}`, image: 'bench.example/none:1' }));
  for (const pod of wanted) await makeFiles(node, pod);
  const made: string[] = [];
  const work = async (): Promise<void> => order(wanted, async (pod) => void made.push(await runSandbox(node, pod, signal)));
  const cost = await costOf(pods, work, () => {
    const { own, children } = cpuTime(node.daemonPid());
    return own + children;
  });
  await atOnce(made, async (sandboxId) => removeSandbox(node, sandboxId));
  return cost;
}

/** This process only starts the programs: its own time is not the pods'. */
async function byHand({ network }: TestNode, { pods, order }: Load, signal: AbortSignal): Promise<Cost> {
  const names = Array.from({ length: pods }, (_, index) => `byhand-${process.pid}-${index}`);
  const undo = makeCleanupStack();
  const work = async (): Promise<void> =>
    order(names, async (name) => {
      undo.add(`remove ${name}`, async (fresh) => removePod(network, name, fresh));
      await addPod(network, name, signal);
    });
  try {
    return await costOf(pods, work, () => cpuTime(process.pid).children);
  } finally {
    reportFailures('by hand', await undo.unwind());
  }
}

async function costOf(pods: number, work: () => Promise<void>, cpu: () => number): Promise<Cost> {
  const before = cpu();
  const ms = await timed(work);
  return { wallMs: ms / pods, cpuMs: (cpu() - before) / pods };
}
