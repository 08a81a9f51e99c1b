import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deletePod, runPod, waitForState, type RunningPod } from '../kubelet/kubelet.ts';
import { waitFor } from '../lib/wait.ts';
import { askMetrics, scrape } from '../node/metrics.ts';
import { startNode, writeConflist, type TestNode } from '../node/node.ts';
import { bootImage, bootImages, requireClean, untilLogged, vmPod } from './guests.ts';

/** Sum of all series of a metric. */
const sum = (series: Readonly<Record<string, number>>): number => Object.values(series).reduce((total, value) => total + value, 0);

describe('metrics', () => {
  const boot = bootImages('acpi', 'off');
  let node: TestNode;
  let running: RunningPod;
  let readsAtBoot: Readonly<Record<string, number>>;
  beforeAll(async () => {
    node = await startNode({ images: boot.images });
  });
  afterAll(async () => {
    await node.stop();
    boot[Symbol.dispose]();
  });

  const vmId = (): string => running.containers[0]?.id ?? '';

  it('of a fresh daemon: ready, connected, nothing there', async () => {
    expect(await askMetrics(node, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
    expect(await askMetrics(node, '/healthz')).toEqual({ status: 200, text: 'ok\n' });
    const metric = await scrape(node);
    expect(metric('vmlet_ready')).toEqual({
      '{condition="RuntimeReady"}': 1,
      '{condition="NetworkReady"}': 1,
      '{condition="Serving"}': 1,
    });
    expect(metric('vmlet_accelerator_info')).toEqual({ '{accelerator="qemu"}': 1 });
    expect(metric('vmlet_libvirt_connected')).toEqual({ '': 1 });
    expect(metric('vmlet_libvirtd_starts_total')).toEqual({ '': 1 });
    expect(metric('vmlet_record_reads_total')).toEqual({ '{phase="boot"}': 0, '{phase="serving"}': 0 });
    expect(sum(metric('vmlet_vms'))).toBe(0);
    expect(sum(metric('vmlet_sandboxes'))).toBe(0);
    expect(metric('vmlet_images')).toEqual({ '': 0 });
  });

  it('of a running pod: its calls, its image, its states', async () => {
    running = await runPod(node.kubelet, vmPod({ image: bootImage('acpi') }));
    const [container] = running.containers;
    await untilLogged(container?.logPath ?? '', /vmlet-boot: acpi/, 60_000);
    const metric = await scrape(node);
    const calls = metric('vmlet_rpc_calls_total');
    for (const method of ['RunPodSandbox', 'PullImage', 'CreateContainer', 'StartContainer']) {
      expect(calls[`{method="${method}",code="OK"}`]).toBe(1);
      expect(metric('vmlet_rpc_duration_seconds_count')[`{method="${method}"}`]).toBe(1);
    }
    expect(metric('vmlet_vms')).toMatchObject({ '{state="RUNNING"}': 1, '{state="CREATED"}': 0, '{state="EXITED"}': 0 });
    expect(metric('vmlet_sandboxes')).toEqual({ '{state="READY"}': 1, '{state="NOTREADY"}': 0 });
    expect(metric('vmlet_vm_events_total')).toMatchObject({ '{kind="started"}': 1 });
    expect(metric('vmlet_image_pulls_total')).toEqual({ '{result="ok"}': 1 });
    const [image] = boot.images;
    const bytes = image && 'file' in image ? statSync(image.file).size : 0;
    expect(metric('vmlet_image_pull_bytes_total')).toEqual({ '': bytes });
    expect(metric('vmlet_images')).toEqual({ '': 1 });
    expect(metric('vmlet_image_store_bytes')['']).toBeGreaterThan(0);
    expect(metric('vmlet_libvirt_calls_total')['{group="lifecycle",outcome="ok"}']).toBeGreaterThanOrEqual(3); // define, create, resume
  });

  it('lists and status make no libvirt call and read no record', async () => {
    const { runtime, image } = node.kubelet.client;
    const before = await scrape(node);
    for (let round = 0; round < 20; round += 1) {
      await Promise.all([
        runtime.listContainers({}),
        runtime.listPodSandbox({}),
        runtime.containerStatus({ containerId: vmId(), verbose: true }),
        runtime.podSandboxStatus({ podSandboxId: running.sandboxId, verbose: true }),
        runtime.status({ verbose: true }),
        runtime.version({}),
        image.listImages({}),
        image.imageStatus({ image: { image: bootImage('acpi') } }),
        image.imageFsInfo({}),
      ]);
    }
    const after = await scrape(node);
    const listed = (metric: typeof before): number => metric('vmlet_rpc_calls_total')['{method="ListContainers",code="OK"}'] ?? 0;
    expect(listed(after) - listed(before)).toBe(20);
    expect(sum(after('vmlet_libvirt_calls_total'))).toBe(sum(before('vmlet_libvirt_calls_total')));
    expect(after('vmlet_libvirt_calls_during_reads_total')).toEqual({ '': 0 });
    expect(after('vmlet_record_reads_total')).toEqual({ '{phase="boot"}': 0, '{phase="serving"}': 0 });
    expect(sum(after('vmlet_rpc_calls_in_flight'))).toBe(0);
    const quick = async (): Promise<boolean> => ((await scrape(node))('vmlet_scrape_duration_seconds')[''] ?? Infinity) < 0.05;
    await waitFor(quick, { timeoutMs: 30_000, what: 'scrape that others do not keep from the CPU' });
  });

  it('a refused call has its code, a failed pull its result', async () => {
    const { runtime, image } = node.kubelet.client;
    await expect(runtime.containerStatus({ containerId: 'f'.repeat(64) })).rejects.toThrow(/NOT_FOUND/);
    await expect(image.pullImage({ image: { image: 'virtlet.cloud/boot.example/nobody-knows' } })).rejects.toThrow(/INVALID_ARGUMENT/);
    const metric = await scrape(node);
    expect(metric('vmlet_rpc_calls_total')).toMatchObject({
      '{method="ContainerStatus",code="NOT_FOUND"}': 1,
      '{method="PullImage",code="INVALID_ARGUMENT"}': 1,
    });
    expect(metric('vmlet_image_pulls_total')).toEqual({ '{result="ok"}': 1, '{result="invalid"}': 1 });
    expect(metric('vmlet_image_pulls_in_progress')).toEqual({ '': 0 });
  });

  it('of the next daemon: counted anew; records were read during its boot and not since', async () => {
    await node.killDaemon();
    await node.startDaemon();
    const metric = await scrape(node);
    expect(metric('vmlet_vms')).toMatchObject({ '{state="RUNNING"}': 1 });
    readsAtBoot = metric('vmlet_record_reads_total');
    expect(readsAtBoot['{phase="boot"}']).toBeGreaterThanOrEqual(4); // a sandbox, a VM, an image with its name, a network
    expect(readsAtBoot['{phase="serving"}']).toBe(0);
    expect(metric('vmlet_libvirtd_starts_total')).toEqual({ '': 0 });
    expect(metric('vmlet_rpc_calls_total')['{method="RunPodSandbox",code="OK"}']).toBeUndefined();
  });

  it('not ready without a CNI configuration, with the reason; ready again with one', async () => {
    const ready = async (status: number): Promise<string> =>
      waitFor(
        async () => {
          const answer = await askMetrics(node, '/readyz');
          return answer.status === status && answer.text;
        },
        { timeoutMs: 60_000, what: `readiness ${status}` },
      );
    for (const name of readdirSync(node.cniConfDir)) rmSync(join(node.cniConfDir, name));
    expect(await ready(503)).toMatch(/^NetworkReady: Cni\w+: .+\n$/i);
    expect((await scrape(node))('vmlet_ready')).toMatchObject({ '{condition="NetworkReady"}': 0, '{condition="RuntimeReady"}': 1 });
    await writeConflist(node.cniConfDir, node.network.conflist);
    expect(await ready(200)).toBe('ready\n');
  });

  it('libvirtd killed: started again, connected again', async () => {
    process.kill(node.libvirtdPid(), 'SIGKILL');
    const metric = await waitFor(
      async () => {
        const now = await scrape(node);
        return now('vmlet_libvirt_reconnects_total')[''] === 1 && now;
      },
      { timeoutMs: 60_000, what: 'reconnection' },
    );
    expect(metric('vmlet_libvirtd_starts_total')).toEqual({ '': 1 });
    expect(metric('vmlet_libvirt_connected')).toEqual({ '': 1 });
  });

  it('after the pod: nothing runs, its end was seen, and still no record was read', async () => {
    await deletePod(node.kubelet, running, { graceSeconds: 60 });
    const second = await runPod(node.kubelet, vmPod({ name: 'second', image: bootImage('off') }));
    await waitForState(node.kubelet, second.containers[0]?.id ?? '', 'EXITED', 60_000);
    expect((await scrape(node))('vmlet_vms')).toMatchObject({ '{state="RUNNING"}': 0, '{state="EXITED"}': 1 });
    await deletePod(node.kubelet, second);
    const metric = await scrape(node);
    expect(sum(metric('vmlet_vms'))).toBe(0);
    expect(sum(metric('vmlet_sandboxes'))).toBe(0);
    expect(metric('vmlet_vm_events_total')).toMatchObject({ '{kind="stopped"}': 2 });
    expect(metric('vmlet_vm_events_dropped_total')).toEqual({ '': 0 });
    expect(metric('vmlet_record_reads_total')).toEqual(readsAtBoot);
    expect(metric('vmlet_libvirt_calls_during_reads_total')).toEqual({ '': 0 });
    await requireClean(node);
  });
});
