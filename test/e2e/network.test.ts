import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identify } from '../../src/lib/helper-process.ts';
import { deletePod, runPod, sandboxConfig } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { addPlugin, startNode, writeConflist, type TestNode } from '../node/node.ts';
import { failureOf, type Failure } from './failure.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

describe('a pod network that does not work', () => {
  const boot = bootImages('halt');
  const pod = vmPod({ image: bootImage('halt') });
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ images: boot.images, conflist: () => undefined, config: { cni: { timeout: '5s' } } });
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  const networkReady = async (): Promise<{ status: boolean; reason: string; message: string }> => {
    const { status } = await node.kubelet.client.runtime.status({});
    const condition = status?.conditions.find(({ type }) => type === 'NetworkReady');
    if (!condition) throw new Error('no NetworkReady');
    return condition;
  };
  const failureOfSandbox = async (timeoutMs = 60_000): Promise<Failure> => {
    const config = sandboxConfig(node.kubelet.settings, pod);
    return failureOf(node.kubelet.client.runtime.runPodSandbox({ config, runtimeHandler: 'vm' }, { timeoutMs }));
  };
  const noSandbox = async (): Promise<void> => {
    const { items } = await node.kubelet.client.runtime.listPodSandbox({});
    expect(items).toEqual([]);
    await requireClean(node);
  };
  /** Adds a plugin behind the bridge: what the bridge made must be rolled back. */
  const useSecondPlugin = async (type: string): Promise<void> => {
    const { conflist } = node.network;
    await writeConflist(node.cniConfDir, { ...conflist, plugins: [...conflist.plugins, { type }] });
    await waitFor(async () => (await networkReady()).status, { timeoutMs: 20_000, what: 'NetworkReady' });
  };

  it('without a configuration NetworkReady is false and says where it looks', async () => {
    expect(await networkReady()).toMatchObject({ status: false, reason: expect.stringMatching(/./) as string });
    expect((await networkReady()).message).toContain(node.cniConfDir);
    expect(await failureOfSandbox()).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(node.cniConfDir) as string });
    await noSandbox();
  });

  it('a failing plugin: its message is told, all is rolled back', async () => {
    const answer = '{"cniVersion":"1.0.0","code":107,"msg":"the switch is on fire","details":"port 7"}';
    addPlugin(node.network, 'failing', `[ "$CNI_COMMAND" = DEL ] && exit 0; cat >/dev/null; echo '${answer}'; exit 1`);
    await useSecondPlugin('failing');
    const failure = await failureOfSandbox();
    expect(failure).toMatchObject({ code: 'UNKNOWN' });
    expect(failure.message).toMatch(/failing.*the switch is on fire/s);
    await noSandbox();
  });

  it('a plugin that is not there is named', async () => {
    const { conflist } = node.network;
    await writeConflist(node.cniConfDir, { ...conflist, plugins: [...conflist.plugins, { type: 'nowhere' }] });
    const failure = await waitFor(
      async () => {
        const found = await failureOfSandbox();
        return found.message.includes('nowhere') && found;
      },
      { timeoutMs: 20_000, what: 'failure that names the plugin' },
    );
    expect(failure.message).toContain(node.network.binDir);
    await noSandbox();
  });

  it('a hanging plugin is ended with all that it started, and all is rolled back', async () => {
    const pids = join(node.dir, 'pids');
    addPlugin(node.network, 'hanging', `[ "$CNI_COMMAND" = ADD ] || exit 0; sleep 1000 & echo $$ $! >${pids}; wait`);
    await useSecondPlugin('hanging');
    const began = performance.now();
    const failure = await failureOfSandbox();
    expect(failure.message).toMatch(/hanging/);
    expect(failure.message).toMatch(/5000 ms|5 s|timed? ?out|longer/i);
    expect(performance.now() - began).toBeLessThan(30_000);
    const started = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
    expect(started).toHaveLength(2);
    await waitFor(() => started.every((pid) => identify(pid) === undefined), { timeoutMs: 10_000, what: 'end of what the plugin started' });
    await noSandbox();
  });

  it('a caller that gives up: the sandbox is made for its retry, or rolled back', async () => {
    addPlugin(node.network, 'slow', `[ "$CNI_COMMAND" = ADD ] || exit 0; sleep 1; exec ${process.execPath} -e '${passOn}'`);
    await useSecondPlugin('slow');
    expect(await failureOfSandbox(500)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    const running = await runPod(node.kubelet, pod);
    await untilLogged(running.containers[0]?.logPath ?? '', /halt/, 60_000);
    expect((await node.kubelet.client.runtime.listPodSandbox({})).items.map(({ id }) => id)).toEqual([running.sandboxId]);
    await deletePod(node.kubelet, running, { graceSeconds: 2 });
    await noSandbox();
  });

  it('a plugin that cannot release: the kubelet is told, then the pod goes all the same, and a later start releases', async () => {
    const broken = join(node.dir, 'broken');
    writeFileSync(broken, '');
    const answer = '{"cniVersion":"1.0.0","code":11,"msg":"the datastore is away"}';
    addPlugin(
      node.network,
      'stuck',
      `[ "$CNI_COMMAND" = ADD ] && exec ${process.execPath} -e '${passOn}'; [ -e ${broken} ] || exit 0; echo '${answer}'; exit 1`,
    );
    await useSecondPlugin('stuck');
    const { runtime } = node.kubelet.client;
    const config = sandboxConfig(node.kubelet.settings, pod);
    const { podSandboxId } = await runtime.runPodSandbox({ config, runtimeHandler: 'vm' }, { timeoutMs: 60_000 });
    const first = await failureOf(runtime.stopPodSandbox({ podSandboxId }, { timeoutMs: 60_000 }));
    expect(first.message).toContain('CNI plugin stuck, DEL: error 11: the datastore is away');
    await waitFor(
      async () =>
        runtime.removePodSandbox({ podSandboxId }, { timeoutMs: 60_000 }).then(
          () => true,
          () => false,
        ),
      { timeoutMs: 60_000, what: 'removal of the pod' },
    );
    expect((await runtime.listPodSandbox({})).items).toEqual([]);
    rmSync(broken);
    await node.killDaemon();
    await node.startDaemon();
    await noSandbox();
  });

  it('a configuration that appears and goes is noticed without a restart', async () => {
    rmSync(join(node.cniConfDir, '10-pods.conflist'));
    await waitFor(async () => !(await networkReady()).status, { timeoutMs: 20_000, what: 'NetworkReady=false' });
    await writeConflist(node.cniConfDir, node.network.conflist);
    await waitFor(async () => (await networkReady()).status, { timeoutMs: 20_000, what: 'NetworkReady' });
    const running = await runPod(node.kubelet, pod);
    expect(running.ips).toHaveLength(1);
    await deletePod(node.kubelet, running, { graceSeconds: 2 });
    await noSandbox();
  });
});

/** A plugin's answer that passes the result before it on. */
const passOn = 'console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).prevResult))';
