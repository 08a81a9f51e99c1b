import type { ByteRange } from '../transfer/blob-source.ts';
import { PullProblem } from '../failures.ts';
import { parseContentLength, parseContentRange, parseRetryAfter } from './http-fields.ts';

/** What is read of an HTTP answer before its body. */
export interface AnswerHead {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: string | undefined;
  readonly contentRange?: string | undefined;
  readonly retryAfter?: string | undefined;
}

/** A body that follows: the whole blob, or a part of it (206). */
export interface BodyPlan {
  readonly kind: 'body';
  /** Where its bytes stand in the blob. */
  readonly from: number;
  readonly isPartial: boolean;
  /** Bytes of this body; `undefined` when the server does not say. */
  readonly announcedBytes: number | undefined;
  /** Bytes of the whole blob; `undefined` when the server does not say. */
  readonly totalBytes: number | undefined;
}

/** What an answer means: bytes follow, those that we have are current, or the range lies behind the end. */
export type AnswerPlan = BodyPlan | { readonly kind: 'unchanged' } | { readonly kind: 'behind-end' };

/** What answers are judged by. */
export interface AnswerLimits {
  /** Largest download, bytes; without one the caller looks at the sizes itself. */
  readonly maxBytes?: number;
  /** Whether the request was conditional, so that 304 makes sense. */
  readonly conditional: boolean;
  /** The range that was asked for. */
  readonly range?: ByteRange | undefined;
  /** What to do about a status, where the usual advice does not fit. */
  readonly hints?: Readonly<Record<number, string>> | undefined;
  /** Unix time, milliseconds; default the system's. */
  readonly nowMs?: number;
}

const usualHints: Readonly<Record<number, string>> = {
  401: 'user and password are missing or wrong: put them into the url in images.sources',
  403: 'access is denied: check the url in images.sources, and the user and password in it',
  404: 'not found: check the url in images.sources',
};

/** Decides what to do with an answer from `url` (RFC 9110). Throws `PullProblem`. */
export function planAnswer(url: URL, head: AnswerHead, limits: AnswerLimits): AnswerPlan {
  const { status } = head;
  const { range, maxBytes = Infinity } = limits;
  if (status === 304 && limits.conditional) return { kind: 'unchanged' };
  if (status === 416 && range) return { kind: 'behind-end' };
  const isPartial = status === 206 && range !== undefined;
  if (status !== 200 && !isPartial) throw badStatus(url, head, limits);
  refuseKind(url, head);
  const plan = isPartial ? partOf(url, head, range) : wholeOf(head);
  if (plan.totalBytes !== undefined && plan.totalBytes > maxBytes) throw tooLarge(url, maxBytes);
  return plan;
}

function refuseKind(url: URL, { contentType, contentEncoding = 'identity' }: AnswerHead): void {
  if (/^(text\/html|application\/xhtml\+xml)\b/i.test(contentType ?? '')) throw webPage(url);
  if (contentEncoding.toLowerCase() !== 'identity')
    throw new PullProblem('answer', `${shown(url)} answers with an encoding that was not asked for`);
}

function wholeOf(head: AnswerHead): BodyPlan {
  const totalBytes = parseContentLength(head.contentLength);
  return { kind: 'body', from: 0, isPartial: false, announcedBytes: totalBytes, totalBytes };
}

function badStatus(url: URL, head: AnswerHead, { hints, nowMs = Date.now() }: AnswerLimits): PullProblem {
  const { status } = head;
  const hint = hints?.[status] ?? usualHints[status];
  const registryAway = status >= 500 || status === 429;
  return new PullProblem('status', `${shown(url)} answers with HTTP status ${status}${hint === undefined ? '' : ` (${hint})`}`, {
    registryAway,
    retryAfterMs: registryAway ? parseRetryAfter(head.retryAfter, nowMs) : undefined,
  });
}

/** A 206 must begin where we asked and stay within; it may be shorter (section 15.3.7). */
function partOf(url: URL, head: AnswerHead, range: ByteRange): BodyPlan {
  const part = parseContentRange(head.contentRange);
  if (part?.from !== range.from || part.to > (range.to ?? Infinity)) {
    throw new PullProblem('answer', `${shown(url)} answers with another range of bytes than was asked for`);
  }
  const announcedBytes = part.to - part.from;
  if (head.contentLength !== undefined && parseContentLength(head.contentLength) !== announcedBytes) {
    throw new PullProblem('answer', `${shown(url)} announces another number of bytes than its range has`);
  }
  return { kind: 'body', from: part.from, isPartial: true, announcedBytes, totalBytes: part.totalBytes };
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

/** A URL as messages show it: without user, password, query and fragment, which may be secrets, and cut. */
export function shown(url: URL): string {
  const text = `${url.origin}${url.pathname}`;
  return text.length > longestShown ? `${text.slice(0, longestShown)}...` : text;
}

const longestShown = 200;

/** The `Authorization` field of user and password (RFC 7617). */
export function basicAuthorization({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** The `Authorization` field for the user and password that a configured URL holds; `undefined` without. */
export function basicOf(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  return basicAuthorization({ username: decoded(url.username), password: decoded(url.password) });
}

/** A percent sign that stands for itself stays one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Where a redirect leads. Throws `PullProblem` for a target that is none, of another protocol, or without TLS where there was TLS. */
export function redirectTarget(url: URL, location: string | undefined): URL {
  if (location === undefined || !URL.canParse(location, url.href)) throw new PullProblem('answer', `${shown(url)} redirects to nowhere`);
  const to = new URL(location, url);
  if (to.protocol !== 'https:' && to.protocol !== 'http:')
    throw new PullProblem('downgrade', `${shown(url)} redirects to ${to.protocol.slice(0, 20)}`);
  if (url.protocol === 'https:' && to.protocol === 'http:')
    throw new PullProblem('downgrade', `${shown(url)} redirects from https to http`);
  return to;
}

function webPage(url: URL): PullProblem {
  return new PullProblem('web-page', `${shown(url)} is a web page, not a disk: the url in images.sources must lead to the file itself`);
}
