/** What a `Content-Range` field says: bytes `from` to before `to` of `totalBytes`, which may be unknown. */
export interface ContentRange {
  readonly from: number;
  readonly to: number;
  readonly totalBytes: number | undefined;
}

const mostDigits = 15; // below 2^53

/** Reads `Content-Range: bytes 0-9/100` (RFC 9110, section 14.4); `undefined` for anything else, `bytes *\/100` included. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const match = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+|\*)$/i.exec(text?.trim() ?? '');
  if (!match) return undefined;
  const [from, last, total] = match.slice(1).map(readNumber);
  if (from === undefined || last === undefined || last < from) return undefined;
  if (match[3] === '*') return { from, to: last + 1, totalBytes: undefined };
  return total === undefined || last >= total ? undefined : { from, to: last + 1, totalBytes: total };
}

/** Reads `Content-Length`: bytes, or `undefined` where there is none or no sense in it. */
export function parseContentLength(text: string | undefined): number | undefined {
  return readNumber(text ?? '');
}

/** Reads `Retry-After` (RFC 9110, section 10.2.3), seconds or a date: milliseconds from `nowMs` (Unix time) on, not negative. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  const trimmed = text?.trim() ?? '';
  const seconds = readNumber(trimmed);
  if (seconds !== undefined) return seconds * 1000;
  const date = /^[A-Z][a-z]+,? /.test(trimmed) ? Date.parse(trimmed) : Number.NaN; // the three forms of an HTTP date begin with the day's name
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function readNumber(text: string): number | undefined {
  return /^[0-9]+$/.test(text) && text.length <= mostDigits ? Number(text) : undefined;
}
