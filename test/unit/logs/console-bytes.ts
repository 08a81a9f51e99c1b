import fc from 'fast-check';
import { encodeEntries, type Rest } from '../../../src/logs/entries.ts';

/** A time of the length that all times have. */
export const time = '2026-11-22T09:50:00.123000000Z';

const mark = { lf: '\n', cr: '\r', crlf: '\r\n', crcrlf: '\r\r\n', text: 'ab', space: ' F ', nul: '\0', high: '\xff' } as const;
const lengths = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 16_380, max: 16_390 }), fc.constant(33_000));
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.values(mark)) },
  { weight: 1, arbitrary: lengths.map((length) => 'x'.repeat(length)) },
);

/** What a guest may print: all line ends, bytes that are no text, lines around 16 KiB and longer. */
export const consoleBytes = fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

/** Where the console is read up to, call by call, as shares of its length, and what becomes of the rest each time. */
export const readings = fc.array(
  fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }), rest: fc.constantFrom<Rest>('keep', 'flush') }),
  { maxLength: 12 },
);

/** The log of a console that is read piece by piece, as a follower does it, to its end. */
export function logOf(console: Buffer, steps: readonly { readonly share: number; readonly rest: Rest }[]): Buffer {
  const out: Buffer[] = [];
  let offset = 0;
  const step = (upTo: number, rest: Rest): void => {
    for (;;) {
      const { log, consumed } = encodeEntries(console.subarray(offset, upTo), time, rest);
      out.push(log);
      offset += consumed;
      if (consumed === 0) return;
    }
  };
  for (const { share, rest } of steps.toSorted((a, b) => a.share - b.share)) step(Math.floor(share * console.length), rest);
  step(console.length, 'all');
  return Buffer.concat(out);
}

/** The lines of a console: LF or CR LF ends one; a last one may lack its end. */
export function linesOf(console: Buffer): string[] {
  const lines = console.toString('latin1').split('\n');
  const last = lines.pop() ?? '';
  const full = lines.map((line) => line.replace(/\r$/, ''));
  return last === '' ? full : [...full, last];
}
