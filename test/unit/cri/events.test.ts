import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startCriServer, type CriDeps } from '../../../src/cri/cri.ts';
import { makeEventQueue } from '../../../src/cri/event-queue.ts';
import {
  ContainerEventType as Type,
  ContainerState,
  PodSandboxState,
  type ContainerEventResponse,
} from '../../../src/gen/runtime/v1/api_pb.js';
import { silentLog } from '../../../src/lib/log.ts';
import { isCode, makeCriClient } from '../../lib/cri-client.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';
import { makeWorld, podConfig, vmConfig } from '../pods/world.ts';

const signal = AbortSignal.timeout(60_000);

async function collect<T>(from: AsyncIterable<T>, into: T[]): Promise<void> {
  for await (const one of from) into.push(one);
}

describe('an event queue', () => {
  test('keeps the order, whether events wait or the reader does, and ends with its signal', async () => {
    const queue = makeEventQueue<number>(10, () => new Error('over'));
    const stop = new AbortController();
    const read: number[] = [];
    queue.push(1);
    queue.push(2);
    const done = collect(queue.read(stop.signal), read);
    await waitFor(() => read.length === 2, { timeoutMs: 5_000, what: 'what waited' });
    queue.push(3);
    await waitFor(() => read.length === 3, { timeoutMs: 5_000, what: 'what came' });
    stop.abort();
    await done;
    expect(read).toEqual([1, 2, 3]);
  });

  test('that is full drops everything and tells its reader, at once or when it comes back', async () => {
    const queue = makeEventQueue<number>(2, () => new Error('over'));
    for (const event of [1, 2, 3, 4]) queue.push(event);
    const read: number[] = [];
    await expect(collect(queue.read(signal), read)).rejects.toThrow('over');
    expect(read).toEqual([]);
  });
});

describe('GetContainerEvents', () => {
  async function serve(): Promise<{ pods: CriDeps['pods']; client: ReturnType<typeof makeCriClient>; stop: () => Promise<void> }> {
    const pods = await makeWorld().boot();
    const socketPath = join(tempDir(), 's.sock');
    const server = await startCriServer({ socketPath }, { log: silentLog, pods } as unknown as CriDeps);
    const client = makeCriClient(socketPath);
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => (stopped ??= server.stop(30_000));
    onTestFinished(async () => {
      client.close();
      await stop();
    });
    return { pods, client, stop };
  }

  test('tells the life of a pod in order, with the state after each change', async () => {
    const { pods, client } = await serve();
    const events: ContainerEventResponse[] = [];
    void collect(client.runtime.getContainerEvents({}), events).catch(() => undefined);
    const probe = async (): Promise<boolean> => {
      const id = await pods.runSandbox({ ...podConfig, metadata: { ...podConfig.metadata, name: 'probe' } }, signal);
      await pods.removeSandbox(id, signal);
      return events.length > 0;
    };
    await waitFor(probe, { timeoutMs: 10_000, what: 'the stream to be open' });
    await waitFor(() => events.at(-1)?.containerEventType === Type.CONTAINER_DELETED_EVENT, { timeoutMs: 10_000, what: 'the probe’s end' });
    events.length = 0;

    const sandbox = await pods.runSandbox(podConfig, signal);
    const container = await pods.createContainer(sandbox, vmConfig, signal);
    await pods.startContainer(container, signal);
    await pods.stopContainer(container, 0, signal);
    await pods.removeContainer(container, signal);
    await pods.removeSandbox(sandbox, signal);
    await waitFor(() => events.length >= 8, { timeoutMs: 10_000, what: 'all events' });
    expect(
      events.map(({ containerId, containerEventType: type }) => [containerId === sandbox ? 'sandbox' : 'container', Type[type]]),
    ).toEqual([
      ['sandbox', 'CONTAINER_CREATED_EVENT'],
      ['sandbox', 'CONTAINER_STARTED_EVENT'],
      ['container', 'CONTAINER_CREATED_EVENT'],
      ['container', 'CONTAINER_STARTED_EVENT'],
      ['container', 'CONTAINER_STOPPED_EVENT'],
      ['container', 'CONTAINER_DELETED_EVENT'],
      ['sandbox', 'CONTAINER_STOPPED_EVENT'],
      ['sandbox', 'CONTAINER_DELETED_EVENT'],
    ]);
    const stateTold = events.map(({ containersStatuses: [one] }) => (one ? ContainerState[one.state] : ''));
    expect(stateTold).toEqual(['', '', 'CONTAINER_CREATED', 'CONTAINER_RUNNING', 'CONTAINER_EXITED', '', '', '']);
    expect(events.every(({ podSandboxStatus }) => podSandboxStatus?.id === sandbox)).toBe(true);
    expect(events.at(-1)?.podSandboxStatus?.state).toBe(PodSandboxState.SANDBOX_NOTREADY);
    const times = events.map(({ createdAt }) => createdAt);
    expect(times.every((at, index) => index === 0 || at > (times[index - 1] ?? at))).toBe(true);
  });

  test('ends when the server stops, which does not wait for it', async () => {
    const { client, stop } = await serve();
    const ended = collect(client.runtime.getContainerEvents({}), []).then(
      () => 'ended',
      (error: unknown) => (isCode(error, 'CANCELLED') || isCode(error, 'UNAVAILABLE') ? 'ended' : error),
    );
    await client.runtime.listContainers({});
    const began = performance.now();
    await stop();
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(await ended).toBe('ended');
  });
});
