import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './disk-server.ts';

/** A blob as a server gives it, and what the server does wrong; may be changed between requests. */
export interface ServedBlob {
  bytes: Buffer;
  etag?: string | undefined;
  lastModified?: string | undefined;
  /** Answers ranges; default true. */
  ranges?: boolean;
  /** Says how long a whole answer is; default true. */
  announces?: boolean;
  /** Cuts each connection after so many bytes of body. */
  cutEveryBytes?: number;
  /** Gives at most so many bytes of a range, and says so. */
  mostBytes?: number;
  /** Sees each request first; true: it has answered. */
  before?: (request: IncomingMessage, response: ServerResponse, range: readonly [number, number] | undefined) => boolean;
}

/** Counts what was sent. */
export interface ServedCount {
  bodyBytes: number;
  /** Answers that are neither whole nor given up. */
  open: number;
  ranges: (readonly [number, number] | undefined)[];
}

/** Answers with a blob: 200, 206 with If-Range, 304, 416. Bodies go in small chunks, so that cuts fall anywhere. */
export function blobAnswer(blob: ServedBlob): { readonly answer: Answer; readonly count: ServedCount } {
  const count: ServedCount = { bodyBytes: 0, open: 0, ranges: [] };
  const answer: Answer = (request, response) => {
    const { bytes, cutEveryBytes, etag, ranges = true } = blob;
    const asked = ranges && isCurrent(blob, request.headers['if-range']) ? rangeOf(request.headers.range, bytes.length) : undefined;
    count.ranges.push(asked);
    count.open += 1;
    response.once('close', () => (count.open -= 1));
    const part = partOf(blob, asked);
    if (blob.before?.(request, response, asked)) return;
    if (etag !== undefined && request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else if (part.status === 416) response.writeHead(416, part.headers).end();
    else sendSlowly(response.writeHead(part.status, part.headers), bytes.subarray(part.from, part.to), cutEveryBytes, count);
  };
  return { answer, count };
}

interface Part {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly from: number;
  readonly to: number;
}

function partOf(
  { bytes, etag, lastModified, announces = true, mostBytes = Infinity }: ServedBlob,
  asked: readonly [number, number] | undefined,
): Part {
  const known = { ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { 'last-modified': lastModified }) };
  const { length } = bytes;
  if (!asked) return { status: 200, headers: { ...known, ...(announces ? { 'content-length': length } : {}) }, from: 0, to: length };
  const [from, to] = [asked[0], Math.min(asked[1], asked[0] + mostBytes)];
  if (from >= length) return { status: 416, headers: { 'content-range': `bytes */${length}` }, from, to };
  return {
    status: 206,
    headers: { ...known, 'content-range': `bytes ${from}-${to - 1}/${length}`, 'content-length': to - from },
    from,
    to,
  };
}

function isCurrent(blob: ServedBlob, condition: string | string[] | undefined): boolean {
  return condition === undefined || condition === blob.etag || condition === blob.lastModified;
}

function rangeOf(text: string | undefined, length: number): readonly [number, number] | undefined {
  const match = /^bytes=(\d+)-(\d*)$/.exec(text ?? '');
  return match ? [Number(match[1]), match[2] === '' ? length : Math.min(length, Number(match[2]) + 1)] : undefined;
}

function sendSlowly(response: ServerResponse, bytes: Buffer, cutAfter = Infinity, count: ServedCount): void {
  let sent = 0;
  const more = (): void => {
    while (sent < bytes.length && sent < cutAfter) {
      const chunk = bytes.subarray(sent, Math.min(sent + 16_384, bytes.length, cutAfter));
      sent += chunk.length;
      count.bodyBytes += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
    if (sent >= bytes.length) response.end();
    else setTimeout(() => response.socket?.destroySoon(), 1); // what was written goes out first, then the cut
  };
  response.once('error', () => undefined);
  more();
}
