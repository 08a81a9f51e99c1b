import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containerStatus, deletePod, readLog, runPod, stateNumbers, type ContainerStatus, type RunningPod } from '../kubelet/kubelet.ts';
import { ensureTinyImage } from '../../images/tiny/image.ts';
import { waitFor } from '../lib/wait.ts';
import { getFromPod, startNode, type TestNode } from '../node/node.ts';
import { requireClean, untilLogged, vmPod } from './guests.ts';

const image = 'example.com/guests/tiny:1';
const bootMs = 240_000;

describe('a VM with an operating system, from pull to removal', () => {
  let node: TestNode;
  let running: RunningPod;
  let before: ContainerStatus;
  const vm = (): RunningPod['containers'][number] => {
    const [container] = running.containers;
    if (!container) throw new Error('the pod has no container');
    return container;
  };
  const ask = async (path: string): Promise<string> => {
    const url = `http://${running.ips[0]}${path}`;
    const answer = await waitFor(async () => getFromPod(node.network, url), { timeoutMs: 30_000, what: `answer of ${url}` });
    expect(answer.status).toBe(200);
    return answer.text;
  };

  beforeAll(async () => {
    node = await startNode({
      images: [{ name: image, file: await ensureTinyImage(() => undefined, AbortSignal.timeout(280_000)) }],
      conflist: ({ conflist }) => ({ ...conflist, plugins: conflist.plugins.map((plugin) => ({ ...plugin, mtu: 1400 })) }),
      kubelet: { nodeDns: { servers: ['192.0.2.53'], searches: ['corp.example'], options: [] } },
    });
    running = await runPod(node.kubelet, vmPod({ name: 'web-0', image, memory: '256Mi', graceSeconds: 60 }));
  });
  afterAll(async () => node.stop());

  it('gets its image over HTTP and an address of the pod network', async () => {
    expect(node.images.requests('tiny.qcow2')).toBeGreaterThan(0);
    expect(running.ips[0]).toMatch(node.network.subnet.replace('.0/24', '.'));
    before = await containerStatus(node.kubelet, vm().id);
    expect(before).toMatchObject({ state: stateNumbers.RUNNING, image: { image }, imageId: vm().imageId });
  });

  it('logs its console as CRI log lines', async () => {
    const lines = await untilLogged(vm().logPath, /login:/, bootMs);
    expect(lines.find((line) => line.includes('tiny: lease'))).toContain(`eth0 ${running.ips[0]}/24`);
  });

  it('answers on the pod IP with the pod’s hostname', async () => {
    expect((await ask('/')).trim()).toBe('web-0');
  });

  it('is told address, route, MTU and DNS by DHCP', async () => {
    const info = await ask('/cgi-bin/info');
    expect(info).toContain('hostname web-0');
    expect(info).toMatch(/^interface eth0 \S+ mtu 1400$/m);
    expect(info).toContain(`address eth0 ${running.ips[0]}/24`);
    expect(info).toContain(`route default via ${node.network.gateway}`);
    expect(info).toMatch(/^resolv nameserver 192\.0\.2\.53$/m);
    expect(info).toMatch(/^resolv search corp\.example$/m);
  });

  it('goes on while the daemon is killed, and is found again', async () => {
    const bootId = /^boot-id (\S+)$/m.exec(await ask('/cgi-bin/info'))?.[1];
    await node.killDaemon();
    expect((await ask('/')).trim()).toBe('web-0');
    await node.startDaemon();
    const after = await containerStatus(node.kubelet, vm().id);
    expect(after).toMatchObject({ state: stateNumbers.RUNNING, startedAt: before.startedAt, createdAt: before.createdAt });
    expect(after.labels).toEqual(before.labels);
    expect(after.annotations).toEqual(before.annotations);
    const { status: sandbox } = await node.kubelet.client.runtime.podSandboxStatus({ podSandboxId: running.sandboxId });
    expect(sandbox?.network?.ip).toBe(running.ips[0]);
    expect(await ask('/cgi-bin/info')).toContain(`boot-id ${bootId}`);
    const finished = (await readLog(vm().logPath)).filter((line) => line.includes('boot finished'));
    expect(finished).toHaveLength(1);
  });

  it('shuts down when asked and leaves nothing behind', async () => {
    const [status] = await deletePod(node.kubelet, running);
    expect(status).toMatchObject({ state: stateNumbers.EXITED, exitCode: 0, reason: 'Completed' });
    await requireClean(node);
    expect(node.logTail(1_000)).not.toMatch(/"level":"error"/);
  });
});
