import { Refusal } from '../failures.ts';
import { quoted } from '../quoted.ts';

/** What extended headers say of the next member instead of its own header. */
export interface TarOverrides {
  readonly name?: string;
  readonly sizeBytes?: number;
}

/** Keywords that change nothing of what a layer is read for. Source: POSIX.1-2017, pax, "pax Extended Header Keywords". */
const ignored = new Set(['atime', 'charset', 'comment', 'ctime', 'gid', 'gname', 'hdrcharset', 'linkpath', 'mtime', 'uid', 'uname']);

/** Vendors' keywords (`SCHILY.xattr...`) change nothing either, but for those of sparse files, whose content is not what it seems. */
const ofVendor = /^[A-Z][A-Za-z0-9]*\./;
const sparse = /^(GNU\.sparse\.|SCHILY\.realsize$|SUN\.holesdata$)/;

/** Reads the records of an extended header, `<length> <keyword>=<value>\n` each. Throws `Refusal` with `tar-header`, or `tar-entry` for a sparse file. */
export function parsePax(payload: Uint8Array, scope: 'member' | 'global'): TarOverrides {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
  const found: { name?: string; sizeBytes?: number } = {};
  for (let at = 0; at < text.length;) {
    const { keyword, value, end } = recordAt(text, at);
    at = end;
    if (sparse.test(keyword))
      throw new Refusal('tar-entry', "the layer holds a sparse file; a containerDisk's layer holds one plain file under disk/");
    if (ignored.has(keyword) || ofVendor.test(keyword)) continue;
    if (scope === 'global') throw malformed(`a global extended header sets ${quoted(keyword)}`);
    if (keyword === 'path') found.name = nameFrom(value);
    else if (keyword === 'size') found.sizeBytes = sizeFrom(value);
    else throw malformed(`an extended header sets ${quoted(keyword)}, which is not known`);
  }
  return found;
}

interface PaxRecord {
  readonly keyword: string;
  readonly value: string;
  readonly end: number;
}

function recordAt(text: string, at: number): PaxRecord {
  // Five digits are more than a payload of 64 KiB needs.
  const digits = /^([1-9][0-9]{0,4}) /.exec(text.slice(at, at + 6))?.[1];
  if (digits === undefined) throw malformed('an extended header has a record without length');
  const end = at + Number(digits);
  const record = text.slice(at + digits.length + 1, end - 1);
  const equals = record.indexOf('=');
  if (end > text.length || text[end - 1] !== '\n' || equals < 1) throw malformed('an extended header has a record of wrong length');
  return { keyword: record.slice(0, equals), value: record.slice(equals + 1), end };
}

function nameFrom(value: string): string {
  if (value === '' || value.includes('\0')) throw malformed('an extended header has an impossible name');
  return value;
}

function sizeFrom(value: string): number {
  if (!/^[0-9]{1,19}$/.test(value)) throw malformed(`an extended header has the size ${quoted(value)}`);
  const size = Number(value);
  if (!Number.isSafeInteger(size)) throw new Refusal('disk-size', 'a member of the layer claims an impossible size');
  return size;
}

function malformed(says: string): Refusal {
  return new Refusal('tar-header', `the layer's tar archive is malformed: ${says}`);
}
