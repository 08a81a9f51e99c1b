import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { makeBlobWriter, type BlobWriter } from './blob-writer.ts';
import { PullProblem } from '../failures.ts';
import { makeHttpClient, type HttpAnswer, type HttpClient } from '../http/http-client.ts';
import { asPullProblem, type Resolver } from '../http/http-get.ts';
import { basicOf, planAnswer, refuseWebPage, shown, tooLarge, type AnswerPlan } from '../http/http-rules.ts';
import { plainTransport } from '../http/transport.ts';
import { watchForStall, type StallWatch } from '../http/stall-watch.ts';
import { conditionsOf, validatorsOf, type Validators } from '../http/validators.ts';

/** What to fetch and within which bounds. */
export interface DownloadRequest {
  readonly url: URL;
  /** Of the bytes in the store, to be told when they are current. */
  readonly validators?: Validators | undefined;
  /** Largest size, bytes. */
  readonly maxBytes: number;
  /** Longest time without a byte, milliseconds. */
  readonly stallTimeoutMs: number;
  /** Throws when the announced bytes cannot be stored. */
  readonly reserve: (announcedBytes: number) => Promise<void>;
  readonly onBytes?: ((received: number, announced: number | undefined) => void) | undefined;
  readonly resolver?: Resolver | undefined;
}

/** What came of it. */
export type Download =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'received'; readonly digest: string; readonly sizeBytes: number; readonly validators: Validators };

/** Fetches a disk into an open empty file, hashing on the way. Throws `PullProblem`, the disk's system error or the signal's reason. */
export async function download(request: DownloadRequest, file: FileHandle, signal: AbortSignal): Promise<Download> {
  using watch = watchForStall(request.stallTimeoutMs, shown(request.url), signal);
  using client = makeHttpClient({ transport: plainTransport, allowedNetworks: [], resolver: request.resolver });
  const { answer, plan } = await ask(request, client, watch);
  const { response, url } = answer;
  try {
    if (plan.kind !== 'body') return { kind: 'unchanged' };
    if (plan.announcedBytes !== undefined) await request.reserve(plan.announcedBytes);
    const writer = makeBlobWriter(file);
    await receive({ request, url, connectionError: answer.connectionError, response, announced: plan.announcedBytes }, writer, watch);
    return { kind: 'received', ...(await writer.finish()), validators: validatorsOf(response.headers) };
  } finally {
    response.destroy();
  }
}

async function ask(request: DownloadRequest, client: HttpClient, watch: StallWatch): Promise<{ answer: HttpAnswer; plan: AnswerPlan }> {
  const conditional = conditionsOf(request.validators);
  const answer = await client.send(
    { url: request.url, isConfigured: true, headers: { ...conditional }, authorization: basicOf(request.url) },
    watch.signal,
  );
  watch.touch();
  const { headers } = answer;
  const head = {
    status: answer.status,
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    contentLength: headers['content-length'],
  };
  try {
    return { answer, plan: planAnswer(answer.url, head, { maxBytes: request.maxBytes, conditional: Object.keys(conditional).length > 0 }) };
  } catch (error) {
    answer.response.destroy();
    throw error;
  }
}

interface Body {
  readonly request: DownloadRequest;
  readonly url: URL;
  readonly connectionError: () => Error | undefined;
  readonly response: IncomingMessage;
  readonly announced: number | undefined;
}

async function receive(body: Body, writer: BlobWriter, watch: StallWatch): Promise<void> {
  const { request, url, announced } = body;
  let received = 0;
  for await (const chunk of chunksOf(body, watch)) {
    if (received === 0) refuseWebPage(url, chunk);
    received += chunk.length;
    if (received > request.maxBytes) throw tooLarge(url, request.maxBytes);
    await writer.write(chunk);
    watch.touch();
    request.onBytes?.(received, announced);
  }
  if (announced !== undefined && received < announced) throw tooFew(url, received, announced);
  // What follows the announced bytes on the connection is no HTTP any more: the parser's error (HPE_...) tells.
  const failure = body.connectionError();
  const excess = failure !== undefined && 'code' in failure && String(failure.code).startsWith('HPE_');
  if (excess || (announced !== undefined && received > announced)) {
    throw new PullProblem('too-many-bytes', `${shown(url)}: the server sent more than the ${announced} bytes that it announced`);
  }
}

async function* chunksOf(body: Body, watch: StallWatch): AsyncGenerator<Buffer> {
  const { response, url, announced } = body;
  let received = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      yield chunk;
    }
  } catch (error) {
    if (!watch.signal.aborted && announced !== undefined && received < announced) throw tooFew(url, received, announced);
    throw asPullProblem(error, url, watch.signal);
  }
}

function tooFew(url: URL, received: number, announced: number): PullProblem {
  return new PullProblem('too-few-bytes', `${shown(url)}: the server announced ${announced} bytes, of which ${received} arrived`);
}
