import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { makeImageMetrics, pullResult } from '../../../src/metrics/image-pulls.ts';
import { makeLibvirtMetrics } from '../../../src/metrics/libvirt-calls.ts';
import { declareNodeState, type NodeState } from '../../../src/metrics/node-state.ts';
import { declareProcessMetrics } from '../../../src/metrics/process.ts';
import { makeRecordMetrics } from '../../../src/metrics/records.ts';
import { isRead, makeRpcMetrics } from '../../../src/metrics/rpc-calls.ts';
import { makeVmEventMetrics } from '../../../src/metrics/vm-events.ts';
import { ImageService, RuntimeService } from '../../../src/gen/runtime/v1/api_pb.js';
import { readyCondition } from '../../../src/model/condition.ts';
import { VmletError } from '../../../src/model/errors.ts';
import { exposition } from '../../lib/exposition.ts';

describe('CRI calls', () => {
  test('are counted by method and code, timed by method, and in flight until they end', async () => {
    const { registry, series } = exposition();
    const rpc = makeRpcMetrics(registry);
    rpc.started('StartContainer');
    rpc.started('StartContainer');
    rpc.ended('StartContainer', 'OK', 2);
    rpc.started('Version');
    rpc.ended('Version', 'INTERNAL', 0.0004);
    expect(await series('vmlet_rpc_calls_total')).toEqual({
      '{method="StartContainer",code="OK"}': 1,
      '{method="Version",code="INTERNAL"}': 1,
    });
    expect(await series('vmlet_rpc_calls_in_flight')).toEqual({ '{method="StartContainer"}': 1, '{method="Version"}': 0 });
    expect(await series('vmlet_rpc_duration_seconds_bucket')).toMatchObject({
      '{le="0.001",method="Version"}': 1,
      '{le="1",method="StartContainer"}': 0,
      '{le="2.5",method="StartContainer"}': 1,
      '{le="240",method="StartContainer"}': 1,
      '{le="+Inf",method="StartContainer"}': 1,
    });
  });

  test('reads are the unary methods that only look', () => {
    const methods = [...RuntimeService.methods, ...ImageService.methods].filter(({ methodKind }) => methodKind === 'unary');
    expect(methods.map(({ name }) => name).filter(isRead)).toEqual([
      'Version',
      'PodSandboxStatus',
      'ListPodSandbox',
      'ListContainers',
      'ContainerStatus',
      'ContainerStats',
      'ListContainerStats',
      'PodSandboxStats',
      'ListPodSandboxStats',
      'Status',
      'ListMetricDescriptors',
      'ListPodSandboxMetrics',
      'RuntimeConfig',
      'ListImages',
      'ImageStatus',
      'ImageFsInfo',
    ]);
  });
});

describe('libvirt', () => {
  test('a call counts as made for a read only if a read was under way when it began', async () => {
    const { registry, series } = exposition();
    const rpc = makeRpcMetrics(registry);
    const libvirt = makeLibvirtMetrics(registry, rpc.isReading);
    const during = async (): Promise<number | undefined> => (await series('vmlet_libvirt_calls_during_reads_total'))[''];
    rpc.started('StopContainer');
    libvirt.onLibvirtCallStarted();
    expect(await during()).toBe(0);
    rpc.started('ListContainers');
    libvirt.onLibvirtCallStarted();
    rpc.ended('ListContainers', 'OK', 0);
    libvirt.onLibvirtCallStarted();
    expect(await during()).toBe(1);
  });

  test('calls, the connection and starts of libvirtd', async () => {
    const { registry, series } = exposition();
    const libvirt = makeLibvirtMetrics(registry, () => false);
    libvirt.onLibvirtCall({ group: 'lookup', outcome: 'refused', seconds: 0.002 });
    expect(await series('vmlet_libvirt_calls_total')).toEqual({ '{group="lookup",outcome="refused"}': 1 });
    expect(await series('vmlet_libvirt_call_duration_seconds_sum')).toEqual({ '{group="lookup"}': 0.002 });
    expect(await series('vmlet_libvirt_connected')).toEqual({ '': 0 });
    libvirt.onLibvirtConnected({ again: false });
    expect(await series('vmlet_libvirt_connected')).toEqual({ '': 1 });
    libvirt.onLibvirtDisconnected();
    expect(await series('vmlet_libvirt_connected')).toEqual({ '': 0 });
    libvirt.onLibvirtConnected({ again: true });
    libvirt.onLibvirtdStarted();
    expect(await series('vmlet_libvirt_reconnects_total')).toEqual({ '': 1 });
    expect(await series('vmlet_libvirtd_starts_total')).toEqual({ '': 1 });
  });
});

test('reads of records are of the boot until calls are served', async () => {
  const { registry, series } = exposition();
  const records = makeRecordMetrics(registry);
  expect(await series('vmlet_record_reads_total')).toEqual({ '{phase="boot"}': 0, '{phase="serving"}': 0 });
  records.onRead();
  records.onRead();
  records.serving();
  records.onRead();
  expect(await series('vmlet_record_reads_total')).toEqual({ '{phase="boot"}': 2, '{phase="serving"}': 1 });
});

test('VM events by kind, and those that nobody heard', async () => {
  const { registry, series } = exposition();
  const vms = makeVmEventMetrics(registry);
  vms.onVmEvent('started', true);
  vms.onVmEvent('stopped', false);
  expect(await series('vmlet_vm_events_total')).toEqual({ '{kind="started"}': 1, '{kind="stopped"}': 1 });
  expect(await series('vmlet_vm_events_dropped_total')).toEqual({ '': 1 });
});

test('pulls by result, bytes and those under way', async () => {
  const { registry, series } = exposition();
  const images = makeImageMetrics(registry);
  images.onPullStarted();
  images.onPullStarted();
  images.onBytes(1_000);
  images.onBytes(24);
  images.onPending(5_000);
  images.onPending(-1_024);
  images.onInspected(undefined);
  images.onInspected('backing-file');
  images.onPullEnded(undefined);
  expect(await series('vmlet_image_pulls_total')).toEqual({ '{result="ok"}': 1 });
  expect(await series('vmlet_image_pulls_in_progress')).toEqual({ '': 1 });
  expect(await series('vmlet_image_pull_bytes_total')).toEqual({ '': 1_024 });
  expect(await series('vmlet_image_pull_pending_bytes')).toEqual({ '': 3_976 });
  expect(await series('vmlet_image_inspections_total')).toEqual({ '{result="accepted"}': 1, '{result="refused"}': 1 });
  expect(pullResult(new VmletError({ code: 'DISK_FULL', path: '/secret' }, 'full'))).toBe('disk_full');
  expect(pullResult(new DOMException('gone', 'AbortError'))).toBe('cancelled');
  expect(pullResult(new TypeError('a bug'))).toBe('internal');
});

describe('the node', () => {
  const plain: NodeState = {
    conditions: () => ({ RuntimeReady: readyCondition, NetworkReady: { ready: false, reason: 'CniMissing', message: 'none' } }),
    sandboxes: () => [{ state: 'READY' }, { state: 'READY' }],
    containers: () => [{ state: 'RUNNING' }, { state: 'EXITED' }],
    accelerator: () => 'kvm',
    imageStoreBytes: () => 4_096,
    imageCount: () => 2,
  };

  test('is looked up at each scrape, with a series for each state', async () => {
    const { registry, series } = exposition();
    let sandboxes = plain.sandboxes();
    declareNodeState(registry, { ...plain, sandboxes: () => sandboxes });
    expect(await series('vmlet_ready')).toEqual({ '{condition="RuntimeReady"}': 1, '{condition="NetworkReady"}': 0 });
    expect(await series('vmlet_sandboxes')).toEqual({ '{state="READY"}': 2, '{state="NOTREADY"}': 0 });
    sandboxes = [{ state: 'NOTREADY' }];
    expect(await series('vmlet_sandboxes')).toEqual({ '{state="READY"}': 0, '{state="NOTREADY"}': 1 });
    expect(await series('vmlet_vms')).toEqual({
      '{state="CREATED"}': 0,
      '{state="RUNNING"}': 1,
      '{state="EXITED"}': 1,
      '{state="UNKNOWN"}': 0,
    });
    expect(await series('vmlet_records_readable')).toEqual({ '': 1 });
    expect(await series('vmlet_image_store_bytes')).toEqual({ '': 4_096 });
    expect(await series('vmlet_images')).toEqual({ '': 2 });
  });

  test('the accelerator changes when it has been probed', async () => {
    const { registry, series } = exposition();
    let accelerator: 'kvm' | 'qemu' | undefined;
    declareNodeState(registry, { ...plain, accelerator: () => accelerator });
    expect(await series('vmlet_accelerator_info')).toEqual({ '{accelerator="unknown"}': 1 });
    accelerator = 'qemu';
    expect(await series('vmlet_accelerator_info')).toEqual({ '{accelerator="qemu"}': 1 });
  });

  test('unreadable records are told, and do not keep the rest from being read', async () => {
    const { registry, series } = exposition();
    const unreadable = (): never => {
      throw new VmletError({ code: 'RECORDS_UNREADABLE', file: '/x' }, 'x');
    };
    declareNodeState(registry, { ...plain, containers: unreadable });
    expect(await series('vmlet_records_readable')).toEqual({ '': 0 });
    expect(await series('vmlet_sandboxes')).toMatchObject({ '{state="READY"}': 2 });
  });
});

describe('the process', () => {
  test('has the names and units of Prometheus’ client libraries', async () => {
    const { registry, series } = exposition();
    declareProcessMetrics(registry);
    const now = async (name: string): Promise<number> => (await series(name))[''] ?? Number.NaN;
    const { user, system } = process.cpuUsage();
    expect(await now('process_cpu_seconds_total')).toBeGreaterThanOrEqual((user + system) / 1e6);
    expect(await now('process_resident_memory_bytes')).toBeGreaterThan(10 * 2 ** 20);
    expect(await now('process_open_fds')).toBeGreaterThan(2);
    expect(Math.abs((await now('process_start_time_seconds')) - (Date.now() / 1e3 - process.uptime()))).toBeLessThan(5);
  });

  test('a blocked event loop shows in the next scrape and is over in the one after', async () => {
    const { registry, series } = exposition();
    declareProcessMetrics(registry);
    const delays = async (): Promise<Record<string, number>> => series('vmlet_event_loop_delay_seconds');
    expect(await delays()).toEqual({}); // measures from now on
    await delay(100); // some periods, so that the block falls into a later one
    const end = performance.now() + 300;
    while (performance.now() < end);
    await delay(50); // the timer that was late tells of it
    const blocked = await delays();
    expect(blocked['{quantile="1"}']).toBeGreaterThan(0.25);
    expect(blocked['{quantile="0.5"}']).toBeLessThan(0.25);
    await delay(100);
    expect((await delays())['{quantile="1"}']).toBeLessThan(blocked['{quantile="1"}'] ?? 0);
  });
});
