import { z } from 'zod';
import { PullProblem } from '../failures.ts';
import type { HttpAnswer } from '../http/http-client.ts';
import { parseRetryAfter } from '../http/http-fields.ts';
import { shown } from '../http/http-rules.ts';
import { readBody } from '../http/read-body.ts';
import { parseBoundedJson } from '../bounded-json.ts';
import { quoted } from '../quoted.ts';

/** The registry has no such manifest, blob or repository. */
export class NotFound extends PullProblem {
  constructor(message: string, options?: ErrorOptions) {
    super('status', message, { ...options, registryAway: false });
  }
}

/** What was asked for, for messages. */
export interface Asked {
  /** Such as `manifest "latest" of library/x`. */
  readonly what: string;
  /** Whether credentials were sent. */
  readonly hasCredentials: boolean;
}

/** What was given of an answer besides its body. */
export interface ProblemHead {
  readonly status: number;
  readonly url: URL;
  readonly retryAfter?: string | undefined;
}

/** What a status other than success means; `detail` is the server's own explanation, made safe. Source: distribution-spec, "Error Codes". */
export function statusProblem({ status, url, retryAfter }: ProblemHead, asked: Asked, detail: string): PullProblem {
  const where = `${url.host}${detail === '' ? '' : ` says ${detail}`}`;
  if (status === 401) {
    return asked.hasCredentials
      ? new PullProblem(
          'auth',
          `authentication required: the user, password or token for ${asked.what} is refused (${where}): correct the imagePullSecret`,
        )
      : new PullProblem('auth', `authentication required for ${asked.what} (${where}): give the pod an imagePullSecret for this registry`);
  }
  if (status === 403) {
    const hint = asked.hasCredentials ? 'these credentials may not pull it' : 'it may need an imagePullSecret';
    return new PullProblem('auth', `access to ${asked.what} is denied (${where}): ${hint}`);
  }
  if (status === 404) return new NotFound(`there is no ${asked.what} (${where}): check name and tag`);
  const registryAway = status >= 500 || status === 429;
  const retryAfterMs = registryAway ? parseRetryAfter(retryAfter, Date.now()) : undefined;
  const text = `${shown(url)} answers with HTTP status ${status}${detail === '' ? '' : ` (${detail})`}`;
  return new PullProblem('status', text, { registryAway, retryAfterMs });
}

const maxErrorBytes = 64 * 1024;

/** Reads an answer that is no success to its end and says what it means. Throws the signal's reason only. */
export async function problemOf(answer: HttpAnswer, asked: Asked, signal: AbortSignal): Promise<PullProblem> {
  const { status, url, headers, response } = answer;
  let body: Buffer = Buffer.alloc(0);
  try {
    if (/\bjson\b/i.test(headers['content-type'] ?? '')) body = await readBody(answer, maxErrorBytes, signal);
  } catch {
    signal.throwIfAborted(); // else the status says enough
  } finally {
    response.destroy();
  }
  return statusProblem({ status, url, retryAfter: headers['retry-after'] }, asked, errorDetail(body));
}

const errorBody = z.object({ errors: z.custom<unknown[]>(Array.isArray) });
const errorEntry = z.object({ code: z.string().catch(''), message: z.string().catch('') });

/** The first error that a registry's answer holds, as messages may show it; empty when there is none. */
export function errorDetail(body: Buffer): string {
  const [first] = errorBody.safeParse(parseBoundedJson(body)).data?.errors ?? [];
  const { code = '', message = '' } = errorEntry.safeParse(first).data ?? {};
  const text = [code, message].filter((part) => part !== '').join(': ');
  return text === '' ? '' : quoted(text);
}
