import { chmod, lstat, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { isErrno } from '../lib/errno.ts';
import type { Log } from '../lib/log.ts';
import { contextOf, type CallContext } from './call-context.ts';
import { toStatus } from './status.ts';
import type { CriTable, RawHandler } from './table.ts';

/** The kubelet's client takes 16 MiB; grpc-js's default would be 4. */
export const maxMessageBytes = 16 * 2 ** 20;

/** One call, told once, when its status is known. */
export interface CallReport {
  readonly path: string;
  readonly code: grpc.status;
  readonly seconds: number;
}

/** Who counts calls. Called synchronously; must not throw. */
export interface CallHooks {
  readonly onCallStarted?: (path: string) => void;
  readonly onCall?: (report: CallReport) => void;
}

/** A server that listens. */
export interface CriServer {
  /** Takes no more calls, lets those under way end until `graceMs` is over, then breaks them off. Removes the socket. */
  readonly stop: (graceMs: number) => Promise<void>;
}

/**
 * Serves a table on a unix socket (0660). Throws when another process listens there; a socket that a killed daemon left is replaced, anything else
 * at its path is left alone and an error.
 */
export async function serveCri(
  options: { readonly socketPath: string },
  deps: { readonly table: CriTable; readonly log: Log } & CallHooks,
): Promise<CriServer> {
  await removeStaleSocket(options.socketPath);
  const server = new grpc.Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  const stopping = new AbortController();
  for (const [service, paths] of byService(deps.table)) addService(server, service, paths, { ...deps, stopping: stopping.signal });
  const bind = Promise.withResolvers<number>();
  server.bindAsync(`unix://${options.socketPath}`, grpc.ServerCredentials.createInsecure(), (error, port) =>
    error ? bind.reject(error) : bind.resolve(port),
  );
  await bind.promise;
  await chmod(options.socketPath, 0o660);
  return {
    stop: async (graceMs) => {
      stopping.abort(new DOMException('vmlet is stopping', 'AbortError'));
      await stop(server, graceMs);
    },
  };
}

type Deps = Parameters<typeof serveCri>[1];

/** `stopping` ends streams that would never end by themselves. */
type ServiceDeps = Deps & { readonly stopping: AbortSignal };

function byService(table: CriTable): Map<string, string[]> {
  return Map.groupBy(table.keys(), (path) => path.split('/')[1] ?? '');
}

function addService(server: grpc.Server, service: string, paths: readonly string[], deps: ServiceDeps): void {
  const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
  const implementation: grpc.UntypedServiceImplementation = {};
  for (const path of paths) {
    const handler = deps.table.get(path);
    if (!handler) continue;
    const name = path.slice(service.length + 2);
    definition[name] = rawMethod(path, handler.kind === 'stream');
    implementation[name] = handler.kind === 'stream' ? streamCall(path, handler, deps) : unaryCall(path, handler, deps);
  }
  server.addService(definition, implementation);
}

function rawMethod(path: string, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function unaryCall(path: string, handler: RawHandler & { kind: 'unary' }, deps: Deps): grpc.handleUnaryCall<Buffer, Buffer> {
  return (call, reply) => {
    const tell = reporter(path, deps);
    void Promise.try(handler.handle, call.request, contextOf(call)).then(
      (answer) => {
        tell(grpc.status.OK);
        reply(null, Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength));
      },
      (error: unknown) => {
        const failure = toStatus(error, deps.log);
        tell(failure.code);
        reply(failure);
      },
    );
  };
}

function streamCall(
  path: string,
  handler: RawHandler & { kind: 'stream' },
  deps: ServiceDeps,
): grpc.handleServerStreamingCall<Buffer, Buffer> {
  return (call) => {
    const tell = reporter(path, deps);
    const own = contextOf(call);
    const context = { ...own, signal: AbortSignal.any([own.signal, deps.stopping]) };
    void pump(call, handler, context).then(
      () => tell(grpc.status.OK),
      (error: unknown) => {
        const failure = toStatus(error, deps.log);
        tell(failure.code);
        // destroy() would lose the status and leave the client waiting
        if (!own.signal.aborted) call.emit('error', failure);
      },
    );
  };
}

async function pump(
  call: grpc.ServerWritableStream<Buffer, Buffer>,
  handler: RawHandler & { kind: 'stream' },
  context: CallContext,
): Promise<void> {
  for await (const answer of handler.handle(call.request, context)) {
    context.signal.throwIfAborted();
    const more = call.write(Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength));
    if (!more) await once(call, 'drain', { signal: context.signal });
  }
  call.end();
}

function reporter(path: string, deps: Deps): (code: grpc.status) => void {
  const start = performance.now();
  deps.onCallStarted?.(path);
  return (code) => {
    const seconds = (performance.now() - start) / 1_000;
    deps.log.debug({ path, code, seconds }, 'call');
    deps.onCall?.({ path, code, seconds });
  };
}

async function removeStaleSocket(socketPath: string): Promise<void> {
  const found = await lstat(socketPath).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
    return undefined;
  });
  if (!found) return;
  // Connecting to a plain file is refused just as to a stale socket.
  if (!found.isSocket()) throw new Error(`${socketPath} is not a socket and stays as it is`);
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'ECONNREFUSED')) throw error;
    await rm(socketPath, { force: true });
    return;
  } finally {
    socket.destroy();
  }
  throw new Error(`another process serves ${socketPath}`);
}

async function stop(server: grpc.Server, graceMs: number): Promise<void> {
  const drained = Promise.withResolvers<void>();
  const timer = setTimeout(() => server.forceShutdown(), graceMs);
  server.tryShutdown(() => drained.resolve());
  await drained.promise;
  clearTimeout(timer);
}
