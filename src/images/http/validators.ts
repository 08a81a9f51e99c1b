import type { IncomingHttpHeaders } from 'node:http';

/** By what a server recognizes the bytes that we have (RFC 9110, section 8.8). */
export interface Validators {
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
}

/** Header fields that ask for the bytes only if they have changed; the tag alone if there is one, since a server looks at it first. */
export function conditionsOf(validators: Validators | undefined): Readonly<Record<string, string>> {
  if (validators?.etag !== undefined) return { 'if-none-match': validators.etag };
  return validators?.lastModified === undefined ? {} : { 'if-modified-since': validators.lastModified };
}

/** The field that asks for a range only if the bytes are still these (RFC 9110, section 13.1.5); `validators` are strong ones. */
export function rangeConditionOf({ etag, lastModified }: Validators = {}): Readonly<Record<string, string>> {
  const condition = etag ?? lastModified;
  return condition === undefined ? {} : { 'if-range': condition };
}

/**
 * The strong validators of an answer. A weak tag promises the same meaning, not the same bytes; a date is strong only if the answer is at
 * least a second younger, for the file could have changed again within that second (section 8.8.2.2).
 */
export function validatorsOf(headers: IncomingHttpHeaders): Validators {
  const { etag, date, 'last-modified': lastModified } = headers;
  const hasStrongTag = etag !== undefined && /^"[\x21\x23-\x7e]{0,300}"$/.test(etag);
  const hasStrongDate = lastModified !== undefined && Date.parse(date ?? '') - Date.parse(lastModified) >= 1000;
  return { ...(hasStrongTag ? { etag } : {}), ...(hasStrongDate ? { lastModified } : {}) };
}
