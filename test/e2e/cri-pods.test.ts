import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readLog, removeAllPods, stateNumbers } from '../kubelet/kubelet.ts';
import type { CriClient } from '../lib/cri-client.ts';
import { waitFor } from '../lib/wait.ts';
import { startNode, type TestNode } from '../node/node.ts';
import { failureOf } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged } from './guests.ts';

const sandboxStates = { READY: 0, NOTREADY: 1 } as const;
const waitMs = 60_000;

interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly attempt: number;
}

/** critest's groups that need nothing in the guest, in our words, with requests as small as critest makes them: no log path, no cgroup parent. */
describe('pods', () => {
  const boot = bootImages('acpi', 'halt', 'tick');
  let node: TestNode;
  let runtime: CriClient['runtime'];
  let pods = 0;

  beforeAll(async () => {
    node = await startNode({ images: boot.images });
    ({ runtime } = node.kubelet.client);
    for (const { name } of boot.images) await node.kubelet.client.image.pullImage({ image: { image: name } });
  });
  afterEach(async () => {
    await removeAllPods(node.kubelet);
    await requireClean(node);
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  const newMetadata = (): Metadata => {
    pods += 1;
    return { name: `pod-${pods}`, namespace: 'critest', uid: `uid-${pods}`, attempt: 2 };
  };
  const labels = { 'a.label/with-prefix': 'value', empty: '' };
  const annotations = { 'an.annotation/json': '{"key": "valüe"}\n', empty: '' };
  const run = async (more: { readonly logDirectory?: string } = {}): Promise<{ id: string; metadata: Metadata }> => {
    const metadata = newMetadata();
    const { podSandboxId: id } = await runtime.runPodSandbox({ config: { metadata, labels, annotations, ...more } });
    return { id, metadata };
  };
  const sandboxes = async (id: string): Promise<unknown[]> => (await runtime.listPodSandbox({ filter: { id } })).items;

  const create = async (
    sandbox: { id: string; metadata: Metadata },
    more: { readonly image?: string; readonly name?: string; readonly logPath?: string; readonly labels?: Record<string, string> } = {},
  ): Promise<string> => {
    const { image = bootImage('halt'), name = 'vm', ...rest } = more;
    const config = { metadata: { name, attempt: 1 }, image: { image }, labels, annotations, ...rest };
    return (await runtime.createContainer({ podSandboxId: sandbox.id, config, sandboxConfig: { metadata: sandbox.metadata } })).containerId;
  };
  const start = async (id: string): Promise<unknown> => runtime.startContainer({ containerId: id });
  const stop = async (id: string, seconds: bigint): Promise<unknown> => runtime.stopContainer({ containerId: id, timeout: seconds });
  const remove = async (id: string): Promise<unknown> => runtime.removeContainer({ containerId: id });
  const containers = async (id: string): Promise<unknown[]> => (await runtime.listContainers({ filter: { id } })).containers;
  const stateOf = async (id: string): Promise<number | undefined> => (await runtime.containerStatus({ containerId: id })).status?.state;

  describe('Runtime info', () => {
    it('versions are told', async () => {
      const { version, runtimeName, runtimeVersion, runtimeApiVersion } = await runtime.version({});
      expect({ version, runtimeName, runtimeApiVersion }).toEqual({ version: '0.1.0', runtimeName: 'vmlet', runtimeApiVersion: 'v1' });
      expect(runtimeVersion).toMatch(/^v?\d+\.\d+\.\d+/);
    });

    it('runtime and network are ready', async () => {
      const { status, runtimeHandlers } = await runtime.status({});
      expect(status?.conditions.filter(({ status: isTrue }) => isTrue).map(({ type }) => type)).toEqual(
        expect.arrayContaining(['RuntimeReady', 'NetworkReady']),
      );
      expect(runtimeHandlers.map(({ name }) => name)).toEqual(expect.arrayContaining(['', 'vm']));
    });
  });

  describe('Idempotence', () => {
    const unknown = 'e'.repeat(64);

    it('what never was is stopped and removed without an error', async () => {
      await runtime.stopPodSandbox({ podSandboxId: unknown });
      await runtime.removePodSandbox({ podSandboxId: unknown });
      await stop(unknown, 0n);
      await remove(unknown);
      await node.kubelet.client.image.removeImage({ image: { image: 'critest.example/absent:1' } });
      expect([await sandboxes(unknown), await containers(unknown)]).toEqual([[], []]);
    });

    it('a sandbox is stopped twice, removed twice, and stopped after its removal', async () => {
      const { id } = await run();
      const request = { podSandboxId: id };
      for (const again of [1, 2]) {
        await runtime.stopPodSandbox(request);
        expect(await sandboxes(id), `after stop ${again}`).toMatchObject([{ state: sandboxStates.NOTREADY }]);
      }
      for (const end of ['removePodSandbox', 'removePodSandbox', 'stopPodSandbox'] as const) {
        await runtime[end](request);
        expect(await sandboxes(id)).toEqual([]);
      }
    });

    it('a container is stopped twice, removed twice, and stopped after its removal; its end stays as it was', async () => {
      const id = await create(await run());
      await start(id);
      await stop(id, 0n);
      const { status } = await runtime.containerStatus({ containerId: id });
      await stop(id, 5n);
      expect((await runtime.containerStatus({ containerId: id })).status).toEqual(status);
      for (const end of [remove, remove, async () => stop(id, 0n)]) {
        await end(id);
        expect(await containers(id)).toEqual([]);
      }
    });

    it('an image is removed twice', async () => {
      const { image } = node.kubelet.client;
      const spec = { image: { image: bootImage('tick') } };
      await image.removeImage(spec);
      await image.removeImage(spec);
      expect((await image.imageStatus(spec)).image).toBeUndefined();
      await image.pullImage(spec);
    });
  });

  describe('PodSandbox: basic operations', () => {
    it('is READY when it has been run', async () => {
      const { id } = await run();
      const { status } = await runtime.podSandboxStatus({ podSandboxId: id });
      expect(status).toMatchObject({ id, state: sandboxStates.READY });
      expect(status?.network?.ip).toMatch(/^10\.88\.7\.\d+$/);
    });

    it('is NOTREADY when it has been stopped', async () => {
      const { id } = await run();
      await runtime.stopPodSandbox({ podSandboxId: id });
      expect((await runtime.podSandboxStatus({ podSandboxId: id })).status).toMatchObject({ state: sandboxStates.NOTREADY });
    });

    it('is gone when it has been removed, stopped or not', async () => {
      for (const stopFirst of [true, false]) {
        const { id } = await run();
        if (stopFirst) await runtime.stopPodSandbox({ podSandboxId: id });
        await runtime.removePodSandbox({ podSandboxId: id });
        expect(await sandboxes(id)).toEqual([]);
        expect(await failureOf(runtime.podSandboxStatus({ podSandboxId: id }))).toMatchObject({ code: 'NOT_FOUND' });
      }
    });

    it('list by id and status tell metadata, labels and annotations as they came', async () => {
      const { id, metadata } = await run();
      await run();
      const [item, ...others] = await sandboxes(id);
      const { status } = await runtime.podSandboxStatus({ podSandboxId: id });
      expect(others).toEqual([]);
      for (const told of [item, status]) expect(told).toMatchObject({ id, metadata, labels, annotations, createdAt: status?.createdAt });
    });

    it('a sandbox that was stopped takes no container, one that runs does after a refusal', async () => {
      const sandbox = await run();
      expect(await failureOf(create(sandbox, { image: 'critest.example/absent:1' }))).toMatchObject({ code: 'NOT_FOUND' });
      expect(await runtime.listContainers({})).toMatchObject({ containers: [] });
      const id = await create(sandbox);
      await remove(id);
      await runtime.stopPodSandbox({ podSandboxId: sandbox.id });
      expect(await failureOf(create(sandbox))).toMatchObject({ code: 'FAILED_PRECONDITION' });
    });
  });

  describe('Container: basic operations', () => {
    it('is created, and listed with what it was created with', async () => {
      const sandbox = await run();
      const id = await create(sandbox);
      const told = {
        id,
        metadata: { name: 'vm', attempt: 1 },
        state: stateNumbers.CREATED,
        image: { image: bootImage('halt') },
        labels,
        annotations,
      };
      const { status } = await runtime.containerStatus({ containerId: id });
      expect(await containers(id)).toMatchObject([{ ...told, podSandboxId: sandbox.id }]);
      expect(status).toMatchObject({ ...told, startedAt: 0n, finishedAt: 0n, exitCode: 0 });
      expect(status?.logPath).toMatch(/^\/.+/);
    });

    it('is started, and ends within the grace period', async () => {
      const sandbox = await run({ logDirectory: join(node.dir, 'node') });
      mkdirSync(join(node.dir, 'node'), { recursive: true });
      const id = await create(sandbox, { image: bootImage('acpi'), logPath: 'acpi.log' });
      await start(id);
      expect(await stateOf(id)).toBe(stateNumbers.RUNNING);
      await untilLogged(join(node.dir, 'node', 'acpi.log'), /acpi/, waitMs);
      await stop(id, 60n);
      const { status } = await runtime.containerStatus({ containerId: id });
      expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 0, reason: 'Completed' });
      expect(status?.finishedAt).toBeGreaterThanOrEqual(status?.startedAt ?? 0n);
    });

    it.each(['created', 'running', 'stopped'])('is removed when it is %s', async (state) => {
      const id = await create(await run());
      if (state !== 'created') await start(id);
      if (state === 'stopped') await stop(id, 0n);
      await remove(id);
      expect(await containers(id)).toEqual([]);
      expect(await failureOf(runtime.containerStatus({ containerId: id }))).toMatchObject({ code: 'NOT_FOUND' });
    });

    it('a created one that is stopped stays CREATED, and can be started', async () => {
      const id = await create(await run());
      await stop(id, 0n);
      expect(await stateOf(id)).toBe(stateNumbers.CREATED);
      await start(id);
      expect(await stateOf(id)).toBe(stateNumbers.RUNNING);
    });

    it('is started once: not again while it runs, nor after its end', async () => {
      const id = await create(await run());
      await start(id);
      expect(await failureOf(start(id))).toMatchObject({
        code: 'FAILED_PRECONDITION',
        message: expect.stringContaining('RUNNING') as string,
      });
      await stop(id, 0n);
      expect(await failureOf(start(id))).toMatchObject({
        code: 'FAILED_PRECONDITION',
        message: expect.stringContaining('EXITED') as string,
      });
    });

    it('statistics: of one, of all, by id, and by labels', async () => {
      const ids: string[] = [];
      for (const group of ['a', 'a', 'b']) {
        const id = await create(await run(), { labels: { group } });
        await start(id);
        ids.push(id);
      }
      const [first = '', second = '', third = ''] = ids;
      const { stats } = await runtime.containerStats({ containerId: first });
      expect(stats?.attributes).toMatchObject({ id: first, metadata: { name: 'vm', attempt: 1 }, labels: { group: 'a' }, annotations });
      for (const part of [stats?.cpu, stats?.memory]) expect(part?.timestamp).toBeGreaterThan(0n);
      const idsOf = async (filter?: { id?: string; labelSelector?: Record<string, string> }): Promise<(string | undefined)[]> =>
        (await runtime.listContainerStats(filter ? { filter } : {})).stats.map(({ attributes }) => attributes?.id);
      expect(await idsOf()).toEqual(ids);
      expect(await idsOf({ id: second })).toEqual([second]);
      expect(await idsOf({ labelSelector: { group: 'b' } })).toEqual([third]);
      expect(await idsOf({ labelSelector: { group: 'c' } })).toEqual([]);
    });

    it('a group without a user is refused', async () => {
      const { id, metadata } = await run();
      const linux = { securityContext: { runAsGroup: { value: 1_000n } } };
      const config = { metadata: { name: 'vm' }, image: { image: bootImage('halt') }, linux };
      expect(await failureOf(runtime.createContainer({ podSandboxId: id, config, sandboxConfig: { metadata } }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('run_as_group') as string,
      });
    });
  });

  describe('Container: log', () => {
    it('the console’s lines are in the log; after a rename and ReopenContainerLog they go to a new file', async () => {
      const logDirectory = join(node.dir, 'node', 'rotated');
      mkdirSync(logDirectory, { recursive: true });
      const [log, old] = [join(logDirectory, 'tick.log'), join(logDirectory, 'tick.log.1')];
      const id = await create(await run({ logDirectory }), { image: bootImage('tick'), logPath: 'tick.log' });
      await start(id);
      await untilLogged(log, /tick 2$/, waitMs);
      renameSync(log, old);
      await runtime.reopenContainerLog({ containerId: id });
      expect(existsSync(log)).toBe(true);
      const before = await readLog(old);
      const after = await waitFor(async () => atLeast(3, await readLog(log)), { timeoutMs: waitMs, what: '3 lines in the new log' });
      expect(await readLog(old)).toEqual(before);
      const numbers = [...before, ...after].map((line) => Number(/tick (\d+)$/.exec(line)?.[1]));
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    });
  });
});

function atLeast(count: number, lines: readonly string[]): readonly string[] | undefined {
  return lines.length >= count ? lines : undefined;
}
