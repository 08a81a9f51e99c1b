import { removeAllPods } from '../kubelet/kubelet.ts';
import type { NodeOptions } from '../node/node.ts';
import { startFaultNode, type FaultNode } from './fault-node.ts';

/** Nodes for tests that run at the same time: most of a case is waiting for processes to end. */
export interface FaultPool extends AsyncDisposable {
  /** Lends a node of which nothing is left over; waits until one is free. A failure has the end of its daemon's log. */
  readonly use: (test: (fault: FaultNode) => Promise<void>) => Promise<void>;
}

/** Starts so many nodes. */
export async function startFaultPool(count: number, options: NodeOptions): Promise<FaultPool> {
  const started = await Promise.allSettled(Array.from({ length: count }, async () => startFaultNode(options)));
  const nodes = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const dispose = async (): Promise<void> => void (await Promise.all(nodes.map(async (node) => node[Symbol.asyncDispose]())));
  const failed = started.find((outcome) => outcome.status === 'rejected');
  if (failed) {
    await dispose();
    throw failed.reason;
  }
  const free = [...nodes];
  const waiting: ((fault: FaultNode) => void)[] = [];

  return {
    use: async (test) => {
      const fault = free.pop() ?? (await new Promise<FaultNode>((resolve) => waiting.push(resolve)));
      try {
        await test(fault);
      } catch (error) {
        throw new Error(`${String(error)}\nthe daemon's log ends with:\n${fault.node.logTail(30)}`, { cause: error });
      } finally {
        await cleanUp(fault);
        const next = waiting.shift();
        if (next) next(fault);
        else free.push(fault);
      }
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function cleanUp({ node }: FaultNode): Promise<void> {
  if (!node.daemonRuns()) await node.startDaemon();
  await removeAllPods(node.kubelet);
}
