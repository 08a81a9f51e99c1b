import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kubelet } from '../kubelet/kubelet.ts';
import type { CriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type NodeOptions, type TestNode } from '../node/node.ts';
import { faultFiles, pointText, type Point } from './point.ts';

/** A node whose daemon kills itself where it is told to. */
export interface FaultNode extends AsyncDisposable {
  readonly node: TestNode;
  /** Its calls are watched: what arms a point knows them. */
  readonly kubelet: Kubelet;
  /** Steps of each call since then, by the call's name; calls of one name are added up. */
  readonly recorded: () => ReadonlyMap<string, readonly string[]>;
  /**
   * Runs `work`, whose call named `call` brings the daemon to `point`, where it dies; then starts the daemon and runs `work` again, as a
   * kubelet does. Throws when the point was not reached.
   */
  readonly withDeath: <T>(death: Death, work: () => Promise<T>) => Promise<T>;
  /** Runs `work`, whose call named `call` meets a full disk in place of a step, and must fail. Answers the error. */
  readonly withFailure: (failure: Pick<Death, 'call' | 'point'>, work: () => Promise<unknown>) => Promise<unknown>;
}

/** Where the daemon dies, and what the test does before there is another. */
export interface Death {
  readonly call: string;
  readonly point: Point;
  readonly whileDead?: () => Promise<void>;
}

const program = join(import.meta.dirname, 'daemon.ts');

/** Starts the node. */
export async function startFaultNode(options: NodeOptions): Promise<FaultNode> {
  const dir = mkdtempSync(join(tmpdir(), 'vmlet-fault-'));
  const files = faultFiles(dir);
  files.arm(undefined);
  const node = await startNode({
    ...options,
    daemon: { program, env: () => ({ FAULT_DIR: dir, NODE_COMPILE_CACHE: join(dir, 'cache') }) },
  });
  let recorded = new Map<string, readonly string[]>();
  let current: string | undefined;
  let death: Death | undefined;

  function collect(): void {
    if (current !== undefined) recorded.set(current, [...(recorded.get(current) ?? []), ...files.reached()]);
    current = undefined;
  }

  function onCall(call: string): void {
    collect();
    current = call;
    files.arm(death?.call === call ? death.point : undefined);
  }

  async function withDeath<T>(planned: Death, work: () => Promise<T>): Promise<T> {
    death = planned;
    const what = `${planned.call}, ${pointText(planned.point)}`;
    let outcome: string;
    try {
      await work();
      outcome = 'the work was done';
    } catch (error) {
      outcome = String(error);
    } finally {
      death = undefined;
    }
    await waitFor(() => !node.daemonRuns(), { timeoutMs: 10_000, what: `death of the daemon in ${what} (${outcome})` });
    await planned.whileDead?.();
    files.arm(undefined);
    await node.startDaemon();
    return work();
  }

  async function withFailure(planned: Pick<Death, 'call' | 'point'>, work: () => Promise<unknown>): Promise<unknown> {
    death = planned;
    try {
      await work();
    } catch (error) {
      if (files.reached().includes(planned.point.step)) return error;
      throw error;
    } finally {
      death = undefined;
      files.arm(undefined);
    }
    throw new Error(`${planned.call} succeeded without ${planned.point.step}`);
  }

  return {
    node,
    kubelet: { ...node.kubelet, client: watchCalls(node.kubelet.client, onCall) },
    recorded: () => {
      collect();
      const answer = recorded;
      recorded = new Map();
      return answer;
    },
    withDeath,
    withFailure,
    [Symbol.asyncDispose]: async () => {
      await node.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Calls that change nothing do not end a record: they are left out. */
const changing = /^(run|create|start|stop|remove|pull)/;

function watchCalls(client: CriClient, onCall: (name: string) => void): CriClient {
  const watch = <T extends object>(stub: T): T =>
    new Proxy(stub, {
      get: (target, key, receiver) => {
        const value: unknown = Reflect.get(target, key, receiver);
        if (typeof value !== 'function' || typeof key !== 'string' || !changing.test(key)) return value;
        return (...args: unknown[]): unknown => {
          onCall(key[0]?.toUpperCase() + key.slice(1));
          return Reflect.apply(value, target, args);
        };
      },
    });
  return { ...client, runtime: watch(client.runtime), image: watch(client.image) };
}
