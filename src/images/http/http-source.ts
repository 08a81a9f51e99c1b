import { BehindEnd, type BlobBody, type BlobRequest, type BlobSource, type ByteRange } from '../transfer/blob-source.ts';
import { closable } from '../transfer/closable.ts';
import { PullProblem } from '../failures.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import { freeReads } from './free-reads.ts';
import { asPullProblem } from './http-get.ts';
import { planAnswer, refuseWebPage, shown, type BodyPlan } from './http-rules.ts';
import { conditionsOf, rangeConditionOf, validatorsOf } from './validators.ts';

/** A blob that an HTTP server gives. */
export interface HttpBlob {
  readonly url: URL;
  /** Whether the operator wrote the url's host. */
  readonly isConfigured: boolean;
  /** As `HttpRequest.referredFrom`. */
  readonly referredFrom?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The `Authorization` field. */
  readonly authorization?: string | undefined;
  /** Answers the `Authorization` field anew before each request, in place of `authorization`: tokens expire. */
  readonly authorize?: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** Called for a 401 with its `WWW-Authenticate` field; true: ask once more. */
  readonly onUnauthorized?: ((challenge: string | undefined, signal: AbortSignal) => Promise<boolean>) | undefined;
  /** What to do about a status, for messages: `{ 404: 'no such blob' }`. */
  readonly hints?: Readonly<Record<number, string>> | undefined;
}

/** Makes a source of a blob behind a URL (RFC 9110: ranges, conditions). Sizes are the reader's to judge. A body that begins like a web page is refused. */
export function httpBlobSource(client: HttpClient, blob: HttpBlob): BlobSource {
  async function send(request: BlobRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const { url, isConfigured, referredFrom } = blob;
    const authorization = blob.authorize ? await blob.authorize(signal) : blob.authorization;
    return client.send({ url, isConfigured, referredFrom, authorization, headers: { ...blob.headers, ...fieldsOf(request) } }, signal);
  }

  async function sendAuthorized(request: BlobRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const answer = await send(request, signal);
    if (answer.status !== 401 || !blob.onUnauthorized) return answer;
    answer.response.destroy();
    const again = await blob.onUnauthorized(answer.headers['www-authenticate'], signal);
    if (again) return send(request, signal);
    throw new PullProblem('auth', `${shown(answer.url)} answers with HTTP status 401: its user, password or token is missing or wrong`);
  }

  return {
    name: shown(blob.url),
    open: async (request, signal) => {
      const answer = await sendAuthorized(request, signal);
      try {
        const plan = planAnswer(answer.url, headOf(answer), {
          conditional: Object.keys(conditionsOf(request.unlessCurrent)).length > 0,
          range: request.range,
          hints: blob.hints,
        });
        if (plan.kind === 'body') return bodyOf(answer, plan, signal);
        answer.response.destroy();
        if (plan.kind === 'unchanged') return plan;
        throw new BehindEnd(shown(answer.url));
      } catch (error) {
        answer.response.destroy();
        throw error;
      }
    },
  };
}

function fieldsOf({ range, ifRange, unlessCurrent }: BlobRequest): Readonly<Record<string, string>> {
  return { ...conditionsOf(unlessCurrent), ...(range ? { range: rangeText(range), ...rangeConditionOf(ifRange) } : {}) };
}

function rangeText({ from, to }: ByteRange): string {
  return `bytes=${from}-${to === undefined ? '' : to - 1}`;
}

function headOf({ status, headers }: HttpAnswer): Parameters<typeof planAnswer>[1] {
  return {
    status,
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    contentLength: headers['content-length'],
    contentRange: headers['content-range'],
    retryAfter: headers['retry-after'],
  };
}

function bodyOf(answer: HttpAnswer, plan: BodyPlan, signal: AbortSignal): BlobBody {
  const { from, isPartial, totalBytes } = plan;
  freeReads(answer.response);
  const chunks = closable(chunksOf(answer, plan, signal), () => void answer.response.destroy());
  return { kind: 'body', from, isPartial, totalBytes, validators: validatorsOf(answer.headers), chunks };
}

async function* chunksOf(answer: HttpAnswer, { from, announcedBytes }: BodyPlan, signal: AbortSignal): AsyncGenerator<Buffer> {
  const { response, url } = answer;
  const [least, most] = announcedBytes === undefined ? [0, Infinity] : [announcedBytes, announcedBytes];
  let received = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (received === 0 && from === 0) refuseWebPage(url, chunk);
      received += chunk.length;
      if (received > most) throw tooMany(url, most);
      yield chunk;
    }
  } catch (error) {
    const isCut = !(error instanceof PullProblem) && !signal.aborted && received < least;
    throw isCut ? tooFew(url, received, least, error) : asPullProblem(error, url, signal);
  } finally {
    response.destroy(); // does nothing to a connection whose answer was read to its end
  }
  if (received < least) throw tooFew(url, received, least);
  if (hasExcess(answer.connectionError())) throw tooMany(url, most);
}

/** What follows the announced bytes on the connection is no HTTP any more: the parser's error (HPE_...) tells. */
function hasExcess(failure: Error | undefined): boolean {
  return failure !== undefined && 'code' in failure && String(failure.code).startsWith('HPE_');
}

function tooFew(url: URL, received: number, announced: number, cause?: unknown): PullProblem {
  return new PullProblem('too-few-bytes', `${shown(url)}: the server announced ${announced} bytes, of which ${received} arrived`, {
    cause,
  });
}

function tooMany(url: URL, announced: number): PullProblem {
  const what = announced === Infinity ? 'bytes behind its answer’s end' : `more than the ${announced} bytes that it announced`;
  return new PullProblem('too-many-bytes', `${shown(url)}: the server sent ${what}`);
}
