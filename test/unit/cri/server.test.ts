import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectSocket, createServer } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { serveCri, type CallReport, type CriServer } from '../../../src/cri/server.ts';
import { makeTable, rpc, type CriTable, type RawHandler } from '../../../src/cri/table.ts';
import type { CallContext } from '../../../src/cri/call-context.ts';
import { RuntimeService } from '../../../src/gen/runtime/v1/api_pb.js';
import { silentLog } from '../../../src/lib/log.ts';
import { invalid } from '../../../src/model/errors.ts';
import { isCode, makeCriClient, type CriClient } from '../../lib/cri-client.ts';
import { tempDir } from '../../lib/temp.ts';
import { waitFor } from '../../lib/wait.ts';

const path = '/runtime.v1.RuntimeService/Version';
const streamPath = '/runtime.v1.RuntimeService/StreamContainers';
const unary = (handle: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>): CriTable =>
  new Map([[path, { kind: 'unary', handle }]]);
const echo = unary(async (request) => request);

async function serve(
  table: CriTable,
  socketPath = join(tempDir(), 's.sock'),
): Promise<{ server: CriServer; client: CriClient; reports: CallReport[]; socketPath: string }> {
  const reports: CallReport[] = [];
  const server = await serveCri({ socketPath }, { table, log: silentLog, onCall: (report) => void reports.push(report) });
  const client = connect(socketPath);
  onTestFinished(async () => {
    client.close();
    await server.stop(0);
  });
  return { server, client, reports, socketPath };
}

function connect(socketPath: string): CriClient {
  const client = makeCriClient(socketPath);
  onTestFinished(() => client.close());
  return client;
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('the call succeeded'),
    (error: unknown) => error,
  );
}

/** A handler that waits for the end of its call, and what it saw. */
function waiting(): { table: CriTable; started: Promise<void>; reason: Promise<unknown> } {
  const started = Promise.withResolvers<void>();
  const reason = Promise.withResolvers<unknown>();
  const table = unary(async (_request, { signal }) => {
    started.resolve();
    await once(signal, 'abort');
    reason.resolve(signal.reason);
    throw signal.reason;
  });
  return { table, started: started.promise, reason: reason.promise };
}

describe('unary calls', () => {
  test('are told when they come, before their handler runs', async () => {
    const told: string[] = [];
    const table = unary(async (request) => {
      told.push('handled');
      return request;
    });
    const socketPath = join(tempDir(), 's.sock');
    const hooks = { onCallStarted: (started: string) => void told.push(started), onCall: () => void told.push('ended') };
    const server = await serveCri({ socketPath }, { table, log: silentLog, ...hooks });
    onTestFinished(async () => server.stop(0));
    await connect(socketPath).raw(path, Buffer.alloc(0));
    expect(told).toEqual([path, 'handled', 'ended']);
  });

  test('carry bytes both ways and are reported once', async () => {
    const { client, reports } = await serve(echo);
    expect(await client.raw(path, Buffer.from([8, 1, 2, 3]))).toEqual(Buffer.from([8, 1, 2, 3]));
    expect(reports).toEqual([{ path, code: status.OK, seconds: expect.any(Number) }]);
  });

  test('may be larger than gRPC’s own limit of 4 MiB', async () => {
    const { client } = await serve(echo);
    const large = Buffer.alloc(6 * 2 ** 20, 7);
    expect((await client.raw(path, large)).equals(large)).toBe(true);
  });

  test('a passed deadline is DEADLINE_EXCEEDED, and the handler hears of it', async () => {
    const { table, reason } = waiting();
    const { client } = await serve(table);
    expect(isCode(await failureOf(client.raw(path, Buffer.alloc(0), { timeoutMs: 50 })), 'DEADLINE_EXCEEDED')).toBe(true);
    expect(await reason).toBeInstanceOf(DOMException);
  });

  test('a cancelled one is CANCELLED, and the handler hears of it', async () => {
    const { table, started, reason } = waiting();
    const { client, reports } = await serve(table);
    const cancel = new AbortController();
    const call = failureOf(client.raw(path, Buffer.alloc(0), { signal: cancel.signal }));
    await started;
    cancel.abort();
    expect(isCode(await call, 'CANCELLED')).toBe(true);
    expect(await reason).toMatchObject({ name: 'AbortError' });
    await waitFor(() => reports.length > 0, { timeoutMs: 5_000, what: 'report' });
    expect(reports).toMatchObject([{ code: status.CANCELLED }]);
  });

  test('the handler hears when the caller’s connection breaks', async () => {
    const { table, started, reason } = waiting();
    const { socketPath } = await serve(table);
    const session = connectHttp2('http://localhost', { createConnection: () => connectSocket(socketPath) });
    onTestFinished(() => session.destroy());
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    session
      .request(headers)
      .on('error', () => undefined)
      .end(Buffer.alloc(5)); // the frame of an empty message
    await started;
    session.destroy();
    expect(await reason).toMatchObject({ name: 'AbortError' });
  });

  test('an expected failure has its code and text', async () => {
    const { client, reports } = await serve(unary(async () => Promise.reject(invalid('config.hostname', 'is wrong'))));
    const error = await failureOf(client.raw(path, Buffer.alloc(0)));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'config.hostname: is wrong' });
    expect(reports).toMatchObject([{ code: status.INVALID_ARGUMENT }]);
  });

  test('a bug is INTERNAL with an error id, also when it is thrown at once', async () => {
    const { client } = await serve(
      unary(() => {
        throw new TypeError('secret');
      }),
    );
    const error = await failureOf(client.raw(path, Buffer.alloc(0)));
    expect(error).toMatchObject({ code: status.INTERNAL, details: expect.stringMatching(/^internal error [0-9a-f]{8}, see vmlet's log$/) });
  });

  test.each(['/runtime.v1.RuntimeService/Nothing', '/runtime.v2.RuntimeService/Version'])(
    '%s, which is unknown, is UNIMPLEMENTED',
    async (unknown) => {
      const { client } = await serve(echo);
      expect(isCode(await failureOf(client.raw(unknown, Buffer.alloc(0))), 'UNIMPLEMENTED')).toBe(true);
    },
  );
});

describe('the table', () => {
  const version = rpc(RuntimeService.method.version, { version: 'honoured' }, (request) => ({ runtimeName: `got ${request.version}` }));
  const table = makeTable([version], {} as Parameters<typeof makeTable>[1]);

  test('has every method of CRI v1, with its kind', () => {
    expect(table.size).toBe(43);
    const streams = [...table].filter(([, { kind }]) => kind === 'stream').map(([name]) => name);
    expect(streams).toHaveLength(7);
    expect(streams.every((name) => /Stream|GetContainerEvents/.test(name))).toBe(true);
  });

  test('decodes requests and encodes answers', async () => {
    const { client } = await serve(table);
    expect(await client.runtime.version({ version: 'this' })).toMatchObject({ runtimeName: 'got this' });
  });

  test('bytes that are no message are INVALID_ARGUMENT', async () => {
    const { client } = await serve(table);
    const error = await failureOf(client.raw(path, Buffer.from([0x0a, 0xff, 0x01])));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('request of Version') });
  });

  test('fields of a later CRI are no obstacle', async () => {
    const { client } = await serve(table);
    const field1000 = Buffer.from([0xc2, 0x3e, 0x01, 0x41]);
    expect((await client.raw(path, field1000)).length).toBeGreaterThan(0);
  });

  test('what is not built is UNIMPLEMENTED by name, calls and streams', async () => {
    const { client } = await serve(table);
    expect(await failureOf(client.runtime.execSync({}))).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: 'ExecSync is not offered by vmlet',
    });
    expect(await failureOf(client.runtime.streamContainers({})[Symbol.asyncIterator]().next())).toMatchObject({
      code: status.UNIMPLEMENTED,
    });
  });
});

describe('streams', () => {
  const stream = (handle: (call: CallContext) => AsyncIterable<Uint8Array>): CriTable =>
    new Map<string, RawHandler>([[streamPath, { kind: 'stream', handle: (_request, call) => handle(call) }]]);

  test('carry all their answers and are reported once', async () => {
    const { client, reports } = await serve(
      stream(async function* () {
        yield Buffer.alloc(0);
        yield Buffer.alloc(0);
      }),
    );
    const answers = [];
    for await (const answer of client.runtime.streamContainers({})) answers.push(answer);
    expect(answers).toHaveLength(2);
    expect(reports).toMatchObject([{ path: streamPath, code: status.OK }]);
  });

  test('a failure in the middle arrives after the answers before it', async () => {
    const { client } = await serve(
      stream(async function* () {
        yield Buffer.alloc(0);
        throw invalid('x', 'broke');
      }),
    );
    const answers = client.runtime.streamContainers({})[Symbol.asyncIterator]();
    expect((await answers.next()).done).toBe(false);
    expect(await failureOf(answers.next())).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'x: broke' });
  });

  test('a caller that leaves early ends the handler', async () => {
    const ended = Promise.withResolvers<string>();
    const { client } = await serve(
      stream(async function* ({ signal }) {
        try {
          yield Buffer.alloc(0);
          await once(signal, 'abort');
          yield Buffer.alloc(0);
        } finally {
          ended.resolve('ended');
        }
      }),
    );
    for await (const _answer of client.runtime.streamContainers({})) break;
    expect(await ended.promise).toBe('ended');
  });
});

describe('the socket', () => {
  test('is for root and its group alone', async () => {
    const { socketPath } = await serve(echo);
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
  });

  test('one that a killed daemon left is replaced', async () => {
    const dir = tempDir();
    const [left, socketPath] = [join(dir, 'left.sock'), join(dir, 's.sock')];
    const before = createServer().listen(left);
    await once(before, 'listening');
    renameSync(left, socketPath); // closing removes the old name only: what remains is a socket that nobody serves
    before.close();
    await once(before, 'close');
    const { client } = await serve(echo, socketPath);
    expect(await client.raw(path, Buffer.from([8, 1]))).toHaveLength(2);
  });

  test('a second server on it is refused, and the first goes on', async () => {
    const { client, socketPath } = await serve(echo);
    await expect(serveCri({ socketPath }, { table: echo, log: silentLog })).rejects.toThrow(`another process serves ${socketPath}`);
    expect(await client.raw(path, Buffer.from([8, 1]))).toHaveLength(2);
  });

  test('a file at its path is left alone', async () => {
    const socketPath = join(tempDir(), 's.sock');
    writeFileSync(socketPath, 'precious');
    await expect(serveCri({ socketPath }, { table: echo, log: silentLog })).rejects.toThrow('is not a socket');
    expect(existsSync(socketPath)).toBe(true);
  });
});

describe('stopping', () => {
  test('lets a call end that is under way, and removes the socket', async () => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const { server, client, socketPath } = await serve(
      unary(async (request) => {
        started.resolve();
        await release.promise;
        return request;
      }),
    );
    const call = client.raw(path, Buffer.from([8, 1]));
    await started.promise;
    const stopped = server.stop(60_000);
    release.resolve();
    expect(await call).toHaveLength(2);
    client.close();
    await stopped;
    expect(existsSync(socketPath)).toBe(false);
  });

  test('breaks off what does not end within the grace period', async () => {
    const { table, started, reason } = waiting();
    const { server, client } = await serve(table);
    const call = failureOf(client.raw(path, Buffer.alloc(0)));
    await started;
    await server.stop(10);
    expect(await reason).toMatchObject({ name: 'AbortError' });
    expect(isCode(await call, 'UNAVAILABLE') || isCode(await call, 'CANCELLED')).toBe(true);
  });
});
