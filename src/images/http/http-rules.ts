import { PullProblem } from '../failures.ts';

/** What is read of an HTTP answer before its body. */
export interface AnswerHead {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: string | undefined;
}

/** What an answer means: a disk follows, or the one we have is current. */
export type AnswerPlan = { readonly kind: 'body'; readonly announcedBytes: number | undefined } | { readonly kind: 'unchanged' };

/** What answers are judged by. */
export interface AnswerLimits {
  /** Largest download, bytes. */
  readonly maxBytes: number;
  /** Whether the request was conditional, so that 304 makes sense. */
  readonly conditional: boolean;
}

/** Decides what to do with an answer from `url` (RFC 9110). Throws `PullProblem`. */
export function planAnswer(url: URL, head: AnswerHead, limits: AnswerLimits): AnswerPlan {
  const { status } = head;
  if (status === 304 && limits.conditional) return { kind: 'unchanged' };
  if (status !== 200) {
    const hint = status === 404 ? ' (not found: check the url in images.sources)' : '';
    throw new PullProblem('status', `${shown(url)} answers with HTTP status ${status}${hint}`, {
      registryAway: status >= 500 || status === 429,
    });
  }
  if (/^(text\/html|application\/xhtml\+xml)\b/i.test(head.contentType ?? '')) throw webPage(url);
  const encoding = head.contentEncoding?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity') throw new PullProblem('answer', `${shown(url)} answers with an encoding that was not asked for`);
  const announcedBytes = head.contentLength === undefined ? undefined : Number(head.contentLength);
  if (announcedBytes !== undefined && announcedBytes > limits.maxBytes) throw tooLarge(url, limits.maxBytes);
  return { kind: 'body', announcedBytes };
}

/** Throws when a body begins like a web page: a server's log-in or error page with status 200. No disk begins so. */
export function refuseWebPage(url: URL, beginning: Uint8Array): void {
  const text = Buffer.from(beginning.buffer, beginning.byteOffset, Math.min(beginning.byteLength, 256)).toString('latin1');
  if (/^(?:\xef\xbb\xbf)?\s*<[!?a-z]/i.test(text)) throw webPage(url);
}

/** A download over `images.maxBytes`. */
export function tooLarge(url: URL, maxBytes: number): PullProblem {
  return new PullProblem('too-large', `${shown(url)} is larger than images.maxBytes allows (${maxBytes})`);
}

/** A URL as messages show it: without user, password, query and fragment, which may be secrets. */
export function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** The `Authorization` field for the user and password that a configured URL holds; `undefined` without. */
export function basicOf(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Where a redirect leads. Throws `PullProblem` for a target that is none, of another protocol, or without TLS where there was TLS. */
export function redirectTarget(url: URL, location: string | undefined): URL {
  if (location === undefined || !URL.canParse(location, url.href)) throw new PullProblem('answer', `${shown(url)} redirects to nowhere`);
  const to = new URL(location, url);
  if (to.protocol !== 'https:' && to.protocol !== 'http:') throw new PullProblem('downgrade', `${shown(url)} redirects to ${to.protocol}`);
  if (url.protocol === 'https:' && to.protocol === 'http:')
    throw new PullProblem('downgrade', `${shown(url)} redirects from https to http`);
  return to;
}

function webPage(url: URL): PullProblem {
  return new PullProblem('web-page', `${shown(url)} is a web page, not a disk: the url in images.sources must lead to the file itself`);
}
