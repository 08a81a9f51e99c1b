import { create, fromBinary, toBinary, type DescMethod, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { messageOf } from '../lib/errno.ts';
import { invalid, VmletError } from '../model/errors.ts';
import { ImageService, RuntimeService } from '../gen/runtime/v1/api_pb.js';
import type { CallContext } from './call-context.ts';
import type { CriDeps } from './deps.ts';
import type { FieldSupport } from './support.ts';

/** A handler of one method on raw bytes, so that whoever decorates the table need not know the messages. */
export type RawHandler =
  | { readonly kind: 'unary'; readonly handle: (request: Uint8Array, call: CallContext) => Promise<Uint8Array> }
  | { readonly kind: 'stream'; readonly handle: (request: Uint8Array, call: CallContext) => AsyncIterable<Uint8Array> };

/** Every method of CRI v1 by its path, `/runtime.v1.RuntimeService/Version`. */
export type CriTable = ReadonlyMap<string, RawHandler>;

/** A method that is built: what it does with each field of its request, and its handler. */
export interface Rpc {
  readonly method: DescMethod;
  readonly fields: FieldSupport;
  readonly bind: (deps: CriDeps) => RawHandler;
}

/** Declares a unary method; requests are decoded and answers encoded here, and nowhere else. */
export function rpc<M extends DescMethod>(
  method: M,
  fields: FieldSupport,
  handle: (
    request: MessageShape<M['input']>,
    deps: CriDeps,
    call: CallContext,
  ) => MessageInitShape<M['output']> | Promise<MessageInitShape<M['output']>>,
): Rpc {
  const bind = (deps: CriDeps): RawHandler => ({
    kind: 'unary',
    handle: async (bytes, call) => {
      const answer = await handle(decode(method, bytes), deps, call);
      return toBinary(method.output, create(method.output, answer));
    },
  });
  return { method, fields, bind };
}

/**
 * Declares a unary method whose answer is encoded by the caller, for lists that a kubelet asks for each second: their items are encoded
 * once and joined.
 */
export function encodedRpc<M extends DescMethod>(
  method: M,
  fields: FieldSupport,
  handle: (request: MessageShape<M['input']>, deps: CriDeps) => Uint8Array | Promise<Uint8Array>,
): Rpc {
  const bind = (deps: CriDeps): RawHandler => ({ kind: 'unary', handle: async (bytes) => handle(decode(method, bytes), deps) });
  return { method, fields, bind };
}

/** Declares a method that answers with a stream of messages, already encoded. */
export function encodedStreamRpc<M extends DescMethod>(
  method: M,
  fields: FieldSupport,
  handle: (request: MessageShape<M['input']>, deps: CriDeps, call: CallContext) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Rpc {
  const bind = (deps: CriDeps): RawHandler => ({
    kind: 'stream',
    async *handle(bytes, call) {
      yield* handle(decode(method, bytes), deps, call);
    },
  });
  return { method, fields, bind };
}

function decode<M extends DescMethod>(method: M, bytes: Uint8Array): MessageShape<M['input']> {
  try {
    return fromBinary<M['input']>(method.input, bytes);
  } catch (error) {
    throw invalid(`request of ${method.name}`, `is not a ${method.input.typeName} message: ${messageOf(error)}`);
  }
}

/** The path of a method on the wire. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** All methods that CRI v1 has, in the order of the .proto. */
export const allMethods: readonly DescMethod[] = [...RuntimeService.methods, ...ImageService.methods];

/** The table: what is built is bound to `deps`, all else answers UNIMPLEMENTED and never an empty success. */
export function makeTable(rpcs: readonly Rpc[], deps: CriDeps): CriTable {
  const built = new Map(rpcs.map((one) => [pathOf(one.method), one.bind(deps)]));
  return new Map(allMethods.map((method) => [pathOf(method), built.get(pathOf(method)) ?? notBuilt(method)]));
}

function notBuilt(method: DescMethod): RawHandler {
  const refuse = (): VmletError =>
    new VmletError({ code: 'UNIMPLEMENTED', feature: method.name }, `${method.name} is not offered by vmlet`);
  if (method.methodKind === 'unary') return { kind: 'unary', handle: async () => Promise.reject(refuse()) };
  return {
    kind: 'stream',
    // oxlint-disable-next-line require-yield -- the stream ends with its error before the first message
    async *handle() {
      throw refuse();
    },
  };
}
