/** Longest content of one entry, bytes; containerd's and CRI-O's default. A longer line becomes P entries and a last F. */
export const maxContentBytes = 16_384;

/** Most entries that `encodeEntries` makes at once: some milliseconds of work, also where all lines are empty. */
export const maxBatchEntries = 8_192;

/** `2026-11-22T09:50:00.123000000Z stdout F ` has always this length, bytes. */
export const entryHeaderBytes = 40;

/**
 * What becomes of an unfinished line at the end: `keep` it for more bytes to come; `flush` it (a prompt), but not a carriage return that
 * may belong to a line's end; `all` of it goes, since the console has ended. containerd, too, writes a last line without its end as P.
 */
export type Rest = 'keep' | 'flush' | 'all';

/** Most bytes that the entries of one call can take. */
export function entryBytes(consoleBytes: number): number {
  return consoleBytes + Math.min(maxBatchEntries, consoleBytes) * (entryHeaderBytes + 1);
}

/** Entries as they go into the log, and how many of the console's bytes they stand for. */
export interface EncodedEntries {
  readonly log: Buffer;
  readonly consumed: number;
}

const lf = 10;
const cr = 13;

/** The time of an entry: RFC 3339, UTC, always nine digits after the point. */
export function entryTime(unixMs: number): string {
  return `${new Date(unixMs).toISOString().slice(0, -1)}000000Z`;
}

/** One full entry of our own words. */
export function encodeNotice(text: string, time: string): Buffer {
  return Buffer.from(`${time} stdout F ${text}\n`);
}

/**
 * Console bytes as entries of a CRI log, `TIME stdout F|P CONTENT\n`. A line ends with LF or CR LF, all other bytes stay as they are.
 * They are put into `out`, which has room for `entryBytes`. With `keep` the entries of a line do not depend on how its bytes are cut into calls; call again from `consumed` on.
 * Source: Kubernetes' CRI log format (design proposal "CRI: Dockershim logs"; pkg/kubelet/kuberuntime/logs).
 */
export function encodeEntries(
  bytes: Buffer,
  time: string,
  rest: Rest,
  out: Buffer = Buffer.allocUnsafe(entryBytes(bytes.length)),
): EncodedEntries {
  const writer = makeWriter(bytes, time, out);
  let at = 0;
  while (at < bytes.length && writer.hasRoom()) {
    const end = bytes.indexOf(lf, at);
    const contentEnd = end === -1 ? settledEnd(bytes, at, rest) : end - (end > at && bytes[end - 1] === cr ? 1 : 0);
    const isLong = contentEnd - at > maxContentBytes;
    if (isLong) {
      writer.write('P', at, at + maxContentBytes);
      at += maxContentBytes;
    } else if (end === -1) {
      const isDue = rest !== 'keep' && contentEnd > at;
      if (isDue) writer.write('P', at, contentEnd);
      return { log: writer.written(), consumed: isDue ? contentEnd : at };
    } else {
      writer.write('F', at, contentEnd);
      at = end + 1;
    }
  }
  return { log: writer.written(), consumed: at };
}

/** Where the content of a line without its LF ends for certain: a last CR may be part of the line's end. */
function settledEnd(bytes: Buffer, at: number, rest: Rest): number {
  const isOpen = rest !== 'all' && bytes.length > at && bytes[bytes.length - 1] === cr;
  return isOpen ? bytes.length - 1 : bytes.length;
}

interface EntryWriter {
  readonly hasRoom: () => boolean;
  readonly write: (tag: 'F' | 'P', from: number, to: number) => void;
  readonly written: () => Buffer;
}

function makeWriter(bytes: Buffer, time: string, out: Buffer): EntryWriter {
  const headers = { F: Buffer.from(`${time} stdout F `), P: Buffer.from(`${time} stdout P `) };
  let length = 0;
  let entries = 0;
  return {
    hasRoom: () => entries < maxBatchEntries,
    write: (tag, from, to) => {
      length += headers[tag].copy(out, length);
      length += bytes.copy(out, length, from, to);
      length = out.writeUInt8(lf, length);
      entries += 1;
    },
    written: () => out.subarray(0, length),
  };
}
