import { status } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { hooksOf } from '../../../src/daemon/hooks.ts';
import { makePhase, startMetrics } from '../../../src/daemon/metering.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { makeMetrics, type NodeState } from '../../../src/metrics/metrics.ts';
import { readyCondition } from '../../../src/model/condition.ts';
import { seriesOf } from '../../lib/exposition.ts';

function nodeState(conditions: NodeState['conditions'] = () => ({})): NodeState {
  return {
    conditions,
    sandboxes: () => [],
    containers: () => [],
    accelerator: () => undefined,
    imageStoreBytes: () => 0,
    imageCount: () => 0,
  };
}

test('calls of the CRI are counted by method and the code’s name; records by the phase they are read in', async () => {
  const metrics = makeMetrics();
  const hooks = hooksOf(metrics);
  const phase = makePhase(metrics, new AbortController().signal);
  hooks.onRecordRead();
  phase.opening();
  hooks.onRecordRead();
  hooks.calls.onCallStarted?.('/runtime.v1.RuntimeService/ListContainers');
  hooks.hypervisor.onLibvirtCallStarted();
  hooks.calls.onCall?.({ path: '/runtime.v1.RuntimeService/ListContainers', code: status.UNAVAILABLE, seconds: 0.01 });
  const server = await startMetrics('127.0.0.1:0', metrics, nodeState(), silentLog);
  onTestFinished(async () => server?.close());
  const text = await (await fetch(`http://127.0.0.1:${server?.address()?.port}/metrics`)).text();
  expect(seriesOf(text, 'vmlet_rpc_calls_total')).toEqual({ '{method="ListContainers",code="UNAVAILABLE"}': 1 });
  expect(seriesOf(text, 'vmlet_rpc_calls_in_flight')).toEqual({ '{method="ListContainers"}': 0 });
  expect(seriesOf(text, 'vmlet_libvirt_calls_during_reads_total')).toEqual({ '': 1 });
  expect(seriesOf(text, 'vmlet_record_reads_total')).toEqual({ '{phase="boot"}': 1, '{phase="serving"}': 1 });
});

test('the daemon serves after it was told so and until it is stopped', () => {
  const stop = new AbortController();
  const phase = makePhase(makeMetrics(), stop.signal);
  phase.opening();
  expect(phase.condition()).toMatchObject({ ready: false, reason: 'Starting' });
  phase.serving();
  expect(phase.condition()).toBe(readyCondition);
  stop.abort();
  expect(phase.condition()).toMatchObject({ ready: false, reason: 'Stopping' });
});

test('off serves nothing; an address beyond loopback is warned of', async () => {
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_facts: object, message: string) => void warnings.push(message) };
  expect(await startMetrics('off', makeMetrics(), nodeState(), log)).toBeUndefined();
  for (const listen of ['127.0.0.1:0', '[::1]:0']) await (await startMetrics(listen, makeMetrics(), nodeState(), log))?.close();
  expect(warnings).toEqual([]);
  // An address of TEST-NET-1 (RFC 5737), which no machine has: nothing is opened to the network.
  await (await startMetrics('192.0.2.1:0', makeMetrics(), nodeState(), log))?.close();
  expect(warnings).toEqual(['metrics are offered beyond this machine, without authentication']);
});
