import type { Condition } from '../model/condition.ts';

/** An HTTP answer with a text body. */
export interface Answer {
  readonly status: 200 | 404 | 405 | 500 | 503;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the answers are made of. */
export interface AnswerSources {
  readonly metrics: () => Promise<string>;
  readonly metricsType: string;
  readonly conditions: () => Readonly<Record<string, Condition>>;
}

/**
 * Answers a request. Paths: `/metrics` (Prometheus), `/healthz` (this answer proves that the process serves), `/readyz` (503 with the reasons while a
 * condition does not hold). Throws what `metrics` throws.
 */
export async function answerTo(method: string, url: string, sources: AnswerSources): Promise<Answer> {
  const path = url.split('?', 1)[0];
  if (path !== '/metrics' && path !== '/healthz' && path !== '/readyz') return text(404, 'there are /metrics, /healthz and /readyz\n');
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD\n', { allow: 'GET, HEAD' });
  if (path === '/healthz') return text(200, 'ok\n');
  if (path === '/readyz') return readiness(sources.conditions());
  return { status: 200, body: await sources.metrics(), headers: { 'content-type': sources.metricsType } };
}

/** Ready when all conditions hold; else one line for each that does not, `Type: Reason: message`. */
export function readiness(conditions: Readonly<Record<string, Condition>>): Answer {
  const missing = Object.entries(conditions).filter(([, { ready }]) => !ready);
  if (missing.length === 0) return text(200, 'ready\n');
  return text(503, missing.map(([type, { reason, message }]) => `${type}: ${reason}: ${message.replaceAll('\n', ' ')}\n`).join(''));
}

/** An answer in plain text. */
export function text(status: Answer['status'], body: string, headers: Answer['headers'] = {}): Answer {
  return { status, body, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } };
}
