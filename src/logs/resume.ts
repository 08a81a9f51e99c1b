import { entryHeaderBytes, maxContentBytes } from './entries.ts';

/** What was found of a console in a log. */
export interface Match {
  /** Console bytes that the log has, from the first one given. */
  readonly consumed: number;
  /** Bytes of the log that are complete entries of those. */
  readonly kept: number;
  /**
   * Why it ended there: the log's `end`; a `torn` entry, which lacks its line end; `foreign`, an entry that does not come from this
   * console; `more`, an entry beyond the console bytes given.
   */
  readonly stop: 'end' | 'torn' | 'foreign' | 'more';
}

const lf = 10;
const cr = 13;
const beforeTag = ' stdout ';
const tagAt = entryHeaderBytes - 2;

/**
 * Finds how far a log has got with a console: `log` are the bytes behind a known point, `console` those behind the same point. It does
 * not matter how the lines were cut into entries, since each entry says itself what it stands for.
 */
export function matchEntries(console: Buffer, log: Buffer): Match {
  let consumed = 0;
  let kept = 0;
  while (kept < log.length) {
    const end = log.indexOf(lf, kept);
    if (end === -1) return { consumed, kept, stop: 'torn' };
    const length = standsFor(log.subarray(kept, end), console.subarray(consumed));
    if (typeof length !== 'number') return { consumed, kept, stop: length };
    consumed += length;
    kept = end + 1;
  }
  return { consumed, kept, stop: 'end' };
}

/** The length of the log's first entry, with its line end, if its content is `text`; else 0. */
export function matchNotice(log: Buffer, text: string): number {
  const end = log.indexOf(lf);
  const entry = end === -1 ? undefined : readEntry(log.subarray(0, end));
  return entry?.full === true && entry.content.equals(Buffer.from(text)) ? end + 1 : 0;
}

const headerPattern = '0000-00-00T00:00:00.000000000Z stdout ? ';
const [digit, anyTag, fullTag, partTag] = [0x30, 0x3f, 0x46, 0x50]; // 0 ? F P

/** True for bytes without a line end that can be the beginning of an entry of ours. */
export function isTornEntry(bytes: Buffer): boolean {
  if (bytes.length > entryHeaderBytes + maxContentBytes) return false;
  const header = bytes.subarray(0, entryHeaderBytes);
  return header.every((byte, index) => {
    const expected = headerPattern.charCodeAt(index);
    if (expected === digit) return byte >= digit && byte <= digit + 9;
    return expected === anyTag ? byte === fullTag || byte === partTag : byte === expected;
  });
}

function readEntry(line: Buffer): { readonly full: boolean; readonly content: Buffer } | undefined {
  if (line.length < entryHeaderBytes || line.toString('latin1', tagAt - beforeTag.length, tagAt) !== beforeTag) return undefined;
  return { full: line.toString('latin1', tagAt, entryHeaderBytes) === 'F ', content: line.subarray(entryHeaderBytes) };
}

/** How many console bytes an entry stands for. */
function standsFor(line: Buffer, console: Buffer): number | 'foreign' | 'more' {
  const entry = readEntry(line);
  if (!entry) return 'foreign';
  const { content, full } = entry;
  const size = content.length;
  if (!console.subarray(0, size).equals(content)) return console.length < size ? 'more' : 'foreign';
  if (!full) return size;
  if (console[size] === lf) return size + 1;
  if (console[size] === cr && console[size + 1] === lf) return size + 2;
  return console.length < size + 2 ? 'more' : 'foreign';
}
