import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LibvirtConnectionLostError, makeLibvirtClient, type LibvirtClient } from '../../../src/libvirt/libvirt.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../../lib/libvirtd.ts';
import { signalProcess } from '../../lib/processes.ts';

let libvirtd: PrivateLibvirtd;
let client: LibvirtClient;
const told: string[] = [];

beforeAll(async () => {
  libvirtd = await startLibvirtd({ libvirtdConf: { keepalive_interval: '1', keepalive_count: '1' } });
  client = makeLibvirtClient({ socketPath: libvirtd.socketPath, uri: 'test:///default', keepalive: { intervalMs: 200, count: 3 } });
  client.on('disconnected', ({ message }) => told.push(message));
  await client.connected(AbortSignal.timeout(30_000));
});
afterAll(async () => {
  await client?.close();
  await libvirtd?.stop();
});

test('a libvirtd that pings each second, and gives up after one ping, keeps its idle client', async () => {
  await delay(3500); // it would have given up after 2 s
  expect(told).toEqual([]);
  expect(await client.query.domains.list(0)).toHaveLength(1);
});

test('a libvirtd that hangs is given up; when it goes on, the client is back', async () => {
  signalProcess(libvirtd.pid(), 'SIGSTOP');
  const error = await client.query.domains.list(0).catch((reason: unknown) => reason);
  signalProcess(libvirtd.pid(), 'SIGCONT');
  expect(error).toBeInstanceOf(LibvirtConnectionLostError);
  expect(told).toEqual(['connection to libvirtd lost: no sign of life from libvirtd for 3 pings']);
  await client.connected(AbortSignal.timeout(30_000));
  expect(await client.query.domains.list(0)).toHaveLength(1);
});
