import {
  create,
  fromBinary,
  toBinary,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { ImageService, RuntimeService } from '../../src/gen/runtime/v1/api_pb.js';

/** How long a call may take, and what cancels it; without both it waits as long as the server does. */
export interface CriCallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The methods of a service by their names in lower camel case; streams are iterated. */
export type CriStub<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K]['methodKind'] extends 'server_streaming'
    ? (
        request: MessageInitShape<S['method'][K]['input']>,
        options?: CriCallOptions,
      ) => AsyncIterable<MessageShape<S['method'][K]['output']>>
    : (request: MessageInitShape<S['method'][K]['input']>, options?: CriCallOptions) => Promise<MessageShape<S['method'][K]['output']>>;
};

/** A kubelet's connection to a runtime. Calls fail with gRPC's `ServiceError`. */
export interface CriClient {
  readonly runtime: CriStub<typeof RuntimeService>;
  readonly image: CriStub<typeof ImageService>;
  /** A unary call of any path with bytes as they are. */
  readonly raw: (path: string, request: Uint8Array, options?: CriCallOptions) => Promise<Buffer>;
  readonly close: () => void;
}

/** The kubelet's limit of one message. */
const maxMessageBytes = 16 * 2 ** 20;

/** Connects to the runtime at a unix socket; the first call dials, and a runtime that comes later is found. */
export function makeCriClient(socketPath: string): CriClient {
  const client = new grpc.Client(`unix://${socketPath}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 3_000,
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    runtime: makeStub(RuntimeService, client),
    image: makeStub(ImageService, client),
    raw: async (path, request, options = {}) => unary(client, path, request, options),
    close: () => client.close(),
  };
}

/** True when a call failed with this gRPC status. */
export function isCode(error: unknown, code: keyof typeof grpc.status): boolean {
  return error instanceof Error && 'code' in error && error.code === grpc.status[code];
}

function makeStub<S extends DescService>(service: S, client: grpc.Client): CriStub<S> {
  const entries = service.methods.map((method) => [
    method.localName,
    method.methodKind === 'unary' ? unaryOf(method, client) : streamOf(method, client),
  ]);
  return Object.fromEntries(entries) as CriStub<S>;
}

function unaryOf(method: DescMethod, client: grpc.Client) {
  return async (request: MessageInitShape<DescMethod['input']>, options: CriCallOptions = {}): Promise<unknown> =>
    fromBinary(method.output, await unary(client, pathOf(method), encode(method, request), options));
}

function streamOf(method: DescMethod, client: grpc.Client) {
  return async function* (request: MessageInitShape<DescMethod['input']>, options: CriCallOptions = {}): AsyncGenerator {
    const same = (bytes: Buffer): Buffer => bytes;
    const bytes = Buffer.from(encode(method, request));
    const call = client.makeServerStreamRequest(pathOf(method), same, same, bytes, new grpc.Metadata(), grpcOptions(options));
    const unlink = cancelWith(call, options.signal);
    try {
      for await (const answer of call) yield fromBinary(method.output, answer as Buffer);
    } finally {
      unlink();
      call.cancel(); // leaving the loop early destroys the stream but does not end the call
    }
  };
}

async function unary(client: grpc.Client, path: string, request: Uint8Array, options: CriCallOptions): Promise<Buffer> {
  options.signal?.throwIfAborted();
  const same = (bytes: Buffer): Buffer => bytes;
  const answer = Promise.withResolvers<Buffer>();
  const call = client.makeUnaryRequest(path, same, same, Buffer.from(request), new grpc.Metadata(), grpcOptions(options), (error, bytes) =>
    error ? answer.reject(error) : answer.resolve(bytes ?? Buffer.alloc(0)),
  );
  const unlink = cancelWith(call, options.signal);
  try {
    return await answer.promise;
  } finally {
    unlink();
  }
}

function cancelWith(call: grpc.ClientUnaryCall | grpc.ClientReadableStream<Buffer>, signal: AbortSignal | undefined): () => void {
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return () => signal?.removeEventListener('abort', cancel);
}

function grpcOptions({ timeoutMs }: CriCallOptions): grpc.CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function encode(method: DescMethod, request: MessageInitShape<DescMethod['input']>): Uint8Array {
  return toBinary(method.input, create(method.input, request));
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}
