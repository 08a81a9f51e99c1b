import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Log } from '../../../src/lib/log.ts';
import { silentLog } from '../../../src/lib/log.ts';
import type { AnswerSources } from '../../../src/metrics/answers.ts';
import { makeMetrics, type NodeState } from '../../../src/metrics/metrics.ts';
import { serveMetrics, type MetricsServer, type MetricsServerOptions } from '../../../src/metrics/server.ts';
import { readyCondition } from '../../../src/model/condition.ts';
import { seriesOf } from '../../lib/exposition.ts';
import { waitFor } from '../../lib/wait.ts';

const host = '127.0.0.1';
const plain: AnswerSources = {
  metrics: async () => 'x 1\n',
  metricsType: 'text/plain; version=0.0.4; charset=utf-8',
  conditions: () => ({ RuntimeReady: readyCondition }),
};

async function serve(options: Partial<MetricsServerOptions> = {}, sources = plain, log: Log = silentLog): Promise<MetricsServer> {
  const server = await serveMetrics({ host, port: 0, ...options }, { log, sources });
  onTestFinished(server.close);
  return server;
}

const portOf = (server: MetricsServer): number => server.address()?.port ?? Number.NaN;

interface Got {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

async function ask(port: number, path: string, method = 'GET', body?: string): Promise<Got> {
  const call = request({ host, port, path, method, agent: false, timeout: 10_000 });
  call.end(body);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, body: text };
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host, port });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Whether the kernel has an established connection from one local TCP port to another (proc(5), net/tcp: hexadecimal, state 01). */
function isEstablished(from: number, to = 0): boolean {
  const shown = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const fields = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  return fields.some(([, local = '', remote = '', state]) => local.endsWith(shown(from)) && remote.endsWith(shown(to)) && state === '01');
}

test('serves metrics, health and readiness, and nothing else', async () => {
  const port = portOf(await serve());
  expect(await ask(port, '/metrics')).toMatchObject({ status: 200, body: 'x 1\n', headers: { 'content-type': plain.metricsType } });
  expect(await ask(port, '/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
  expect(await ask(port, '/readyz')).toMatchObject({ status: 200, body: 'ready\n' });
  expect(await ask(port, '/metrics', 'HEAD')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '4' } });
  expect(await ask(port, '/')).toMatchObject({ status: 404 });
  expect(await ask(port, '/%2e%2e/etc/passwd')).toMatchObject({ status: 404 });
  expect(await ask(port, '/metrics', 'POST', 'x'.repeat(100_000))).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
});

test('readiness follows the conditions', async () => {
  let condition = { ready: false, reason: 'CniConfigMissing', message: 'no configuration in /etc/cni/net.d' };
  const port = portOf(await serve({}, { ...plain, conditions: () => ({ NetworkReady: condition }) }));
  expect(await ask(port, '/readyz')).toMatchObject({
    status: 503,
    body: 'NetworkReady: CniConfigMissing: no configuration in /etc/cni/net.d\n',
  });
  condition = readyCondition;
  expect(await ask(port, '/readyz')).toMatchObject({ status: 200 });
});

test('metrics that cannot be gathered are 500 without the reason, which is logged; health goes on', async () => {
  const errors: object[] = [];
  const broken = { ...plain, metrics: async () => Promise.reject(new Error('inner matter')) };
  const port = portOf(await serve({}, broken, { ...silentLog, error: (facts) => void errors.push(facts) }));
  const answer = await ask(port, '/metrics');
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain('inner matter');
  expect(errors).toEqual([{ error: 'inner matter' }]);
  expect(await ask(port, '/healthz')).toMatchObject({ status: 200 });
});

test('a client that sends or reads slowly holds up nobody, and is dropped', async () => {
  const large = `${'x'.repeat(64 * 2 ** 20)}\n`; // more than the kernel buffers of a connection
  const port = portOf(await serve({ idleMs: 1_000 }, { ...plain, metrics: async () => large }));
  const deaf = await open(port);
  deaf.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'); // and reads nothing
  expect(await ask(port, '/healthz')).toMatchObject({ status: 200 });
  const half = await open(port);
  half.write('GET /metrics HT');
  half.resume();
  await once(half, 'close');
  await waitFor(() => !isEstablished(port, deaf.localPort), { timeoutMs: 10_000, what: 'end of the slow reader' });
  let read = 0;
  deaf.on('error', () => undefined); // a reset is as good as an end
  deaf.on('data', (chunk: Buffer) => void (read += chunk.length));
  await once(deaf, 'close');
  expect(read).toBeLessThan(large.length);
});

test('a port that is taken does not end anything: it is told once and had when it is free', async () => {
  const other = createServer();
  other.listen(0, host);
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const lines: string[] = [];
  const log = {
    ...silentLog,
    error: (_facts: object, message: string) => void lines.push(message),
    info: (_f: object, m: string) => void lines.push(m),
  };
  const server = await serve({ port, retryMs: 20 }, plain, log);
  expect(server.address()).toBeUndefined();
  expect(lines).toEqual(['metrics cannot be served; the address is tried again']);
  other.close();
  await waitFor(() => server.address(), { timeoutMs: 10_000, what: 'port' });
  expect(await ask(port, '/healthz')).toMatchObject({ status: 200 });
  expect(lines).toEqual(['metrics cannot be served; the address is tried again', 'metrics are served']);
});

test('closing frees the port, with connections open and without; also while the port cannot be had', async () => {
  const server = await serve();
  const port = portOf(server);
  const idle = await open(port);
  const closed = once(idle, 'close');
  idle.resume();
  await server.close();
  await closed;
  const next = await serve({ port });
  expect(portOf(next)).toBe(port);
  const waiting = await serve({ port, retryMs: 20 });
  await waiting.close();
  await next.close();
  expect(waiting.address()).toBeUndefined();
});

test('a scrape with 500 VMs takes less than 50 ms, and its own metric says so', async () => {
  const metrics = makeMetrics();
  const containers = Array.from({ length: 500 }, () => ({ state: 'RUNNING' }) as const);
  const state: NodeState = {
    conditions: () => ({ RuntimeReady: readyCondition }),
    sandboxes: () => containers.map(() => ({ state: 'READY' }) as const),
    containers: () => containers,
    accelerator: () => 'qemu',
    imageStoreBytes: () => 1,
    imageCount: () => 1,
  };
  for (let call = 0; call < 43; call += 1) {
    for (const code of ['OK', 'NOT_FOUND', 'INTERNAL', 'UNAVAILABLE']) {
      metrics.rpc.started(`Method${call}`);
      metrics.rpc.ended(`Method${call}`, code, call / 100);
    }
  }
  const server = await metrics.serve({ host, port: 0 }, state, { log: silentLog });
  onTestFinished(server.close);
  const seconds: number[] = [];
  for (let scrape = 0; scrape < 9; scrape += 1) {
    const { body } = await ask(portOf(server), '/metrics');
    expect(seriesOf(body, 'vmlet_vms')).toMatchObject({ '{state="RUNNING"}': 500 });
    seconds.push(seriesOf(body, 'vmlet_scrape_duration_seconds')[''] ?? Number.NaN);
  }
  const fastest = Math.min(...seconds); // the machine's other work may hold up most
  expect(fastest).toBeGreaterThan(0);
  expect(fastest).toBeLessThan(0.05);
});
