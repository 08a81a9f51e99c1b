import type { Verdict } from '../images/images.ts';

/** The answer as one JSON object on a line; keys that say nothing are left out. */
export function verdictJson(file: string, { wrapping, ...verdict }: Verdict): string {
  return `${JSON.stringify({ file, ...verdict, wrapping: wrappingText(wrapping) })}\n`;
}

/** The answer as aligned lines. */
export function verdictText(file: string, verdict: Verdict): string {
  const lines: readonly (readonly [string, string | undefined])[] = [
    [verdict.verdict, file],
    ['rule', verdict.rule],
    ['reason', verdict.reason],
    ['format', verdict.format],
    ['wrapping', wrappingText(verdict.wrapping)],
    ['virtual size', sizeText(verdict.virtualSizeBytes)],
    ['file size', sizeText(verdict.sizeBytes)],
    ['disk size', verdict.diskSizeBytes === verdict.sizeBytes ? undefined : sizeText(verdict.diskSizeBytes)],
    ['disk digest', verdict.digest],
    ['hint', hintFor(verdict)],
  ];
  return lines.map(([name, value]) => (value === undefined ? '' : `${name.padEnd(14)}${value}\n`)).join('');
}

/** As media types write it: `tar+gzip`. */
export function wrappingText({ archive, compression }: Verdict['wrapping']): string {
  if (archive === 'none') return compression;
  return compression === 'none' ? archive : `${archive}+${compression}`;
}

function hintFor({ verdict, rule, format }: Verdict): string | undefined {
  const isForeign = format !== 'qcow2' && format !== 'raw';
  if (verdict === 'accepted' && isForeign)
    return `only nodes whose images.convert lists ${format} take it; they convert it to qcow2, which is judged again`;
  if (rule === 'magic' && format === 'qcow2') return 'if it is a raw disk, say --format raw, and so in images.sources or the media type';
  return undefined;
}

const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function sizeText(bytes: number | undefined): string | undefined {
  if (bytes === undefined || bytes < 1024) return bytes === undefined ? undefined : `${bytes} bytes`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  return `${bytes} bytes (${Number((bytes / 1024 ** power).toFixed(1))} ${units[power - 1]})`;
}
