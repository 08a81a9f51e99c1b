import { fromBinary, fromJson, toBinary, type DescMethod, type JsonObject, type Message } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { pathOf } from '../../src/cri/table.ts';
import type { CriClient } from '../lib/cri-client.ts';
import { listOf } from './json.ts';
import { fullJson, methodOf } from './recording.ts';

/** How a call ended. */
export interface Outcome {
  /** gRPC code by name. */
  readonly code: string;
  /** With every field; empty when it failed. */
  readonly answer: JsonObject;
  /** What the error said. */
  readonly text: string;
}

/** Makes a unary call with a request in JSON. */
export async function invoke(client: CriClient, method: DescMethod, request: JsonObject, deadlineSeconds?: number): Promise<Outcome> {
  const bytes = toBinary(method.input, fromJson(method.input, request));
  const options = deadlineSeconds === undefined ? {} : { timeoutMs: deadlineSeconds * 1_000 };
  try {
    const answer = fromBinary(method.output, await client.raw(pathOf(method), bytes, options));
    return { code: 'OK', answer: fullJson(method.output, answer), text: '' };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && typeof error.code === 'number')) throw error;
    return { code: status[error.code] ?? String(error.code), answer: {}, text: error.message };
  }
}

/** Lists as streams, and what the unary list's answer calls its items. */
const lists = {
  StreamContainers: { unary: 'ListContainers', items: 'containers' },
  StreamPodSandboxes: { unary: 'ListPodSandbox', items: 'items' },
  StreamImages: { unary: 'ListImages', items: 'images' },
} as const;

/** Asks for a list as a stream, and then for the same list at once: each with its items in JSON. */
export async function bothLists(client: CriClient, name: string): Promise<{ readonly streamed: unknown; readonly listed: unknown }> {
  const list = lists[name as keyof typeof lists];
  const method = methodOf(name);
  const stubs = { ...client.runtime, ...client.image } as unknown as Record<string, (request: object) => AsyncIterable<Message>>;
  const stream = stubs[method.localName];
  if (!stream) throw new Error(`the client has no ${method.localName}`);
  const field = method.output.fields[0]?.name ?? '';
  const streamed: unknown[] = [];
  for await (const message of stream({})) streamed.push(...listOf(fullJson(method.output, message)[field]));
  const { answer } = await invoke(client, methodOf(list.unary), {});
  return { streamed, listed: answer[list.items] };
}
