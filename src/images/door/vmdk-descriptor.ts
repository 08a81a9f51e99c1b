import { Refusal } from '../failures.ts';

/** What the header says of the descriptor. */
export interface DescriptorFacts {
  /** Its length by the header, bytes; what follows is only searched for what must not be there. */
  readonly declaredBytes: number;
  /** The disk's size, sectors of 512 bytes. */
  readonly capacity: bigint;
}

const maxLines = 1_000;
const extentLine = /^(?:RW|RDONLY) ([0-9]{1,18}) SPARSE "[^"]*"$/;
const entryLine = /^[A-Za-z][\w.]* ?= ?.*$/;
const acceptedTypes: ReadonlySet<string> = new Set(['monolithicSparse', 'streamOptimized']);

/**
 * Judges the text inside a VMDK that tells what the disk consists of. It must name one sparse extent, which is the file itself whatever name
 * stands there, and no parent. `region` is the descriptor and, if that is shorter, what QEMU reads beyond it. Throws `Refusal`.
 * Source: VMware's "Virtual Disk Format 5.0", "The Descriptor File".
 */
export function judgeDescriptor(region: Uint8Array, { declaredBytes, capacity }: DescriptorFacts): void {
  const all = Buffer.from(region.buffer, region.byteOffset, region.byteLength).toString('latin1');
  if (/parentFileNameHint/i.test(all)) throw refusal('backing-file', 'it is based on another disk');
  const declared = all.slice(0, declaredBytes);
  const end = declared.indexOf('\0');
  const text = end === -1 ? declared : declared.slice(0, end);
  if (/[^\t\r\n\x20-\x7e\x80-\xff]/.test(text)) throw refusal('vmdk-descriptor', 'its descriptor is no text');
  const lines = text.split('\n').map((line) => line.trim());
  if (lines.length > maxLines) throw refusal('vmdk-descriptor', `its descriptor has more than ${maxLines} lines`);
  if (!/^# disk descriptorfile$/i.test(lines[0] ?? '')) throw refusal('vmdk-descriptor', 'there is no descriptor where the header says');
  const written = lines.filter((line) => line !== '' && !line.startsWith('#'));
  judgeEntries(written.filter((line) => entryLine.test(line)));
  judgeExtents(
    written.filter((line) => !entryLine.test(line)),
    capacity,
  );
}

function judgeEntries(lines: readonly string[]): void {
  const valuesOf = (key: string): string[] =>
    lines
      .map((line) => /^([\w.]+) ?= ?(.*)$/.exec(line))
      .filter((match) => match?.[1]?.toLowerCase() === key.toLowerCase())
      .map((match) => (match?.[2] ?? '').replaceAll('"', ''));
  const [type, ...otherTypes] = valuesOf('createType');
  if (type === undefined || otherTypes.length > 0 || !acceptedTypes.has(type)) {
    throw refusal('vmdk-type', 'it must be of one file, monolithicSparse or streamOptimized; convert it with qemu-img convert -O qcow2');
  }
  const parents = valuesOf('parentCID');
  if (parents.length !== 1 || parents[0]?.toLowerCase() !== 'ffffffff') throw refusal('backing-file', 'it is based on another disk');
}

function judgeExtents(lines: readonly string[], capacity: bigint): void {
  const [extent] = lines;
  if (extent === undefined || lines.length !== 1) throw refusal('vmdk-extents', 'its descriptor must have one extent');
  const sectors = extentLine.exec(extent)?.[1];
  if (sectors === undefined) throw refusal('vmdk-extents', 'its extent must be sparse');
  if (BigInt(sectors) !== capacity) throw refusal('vmdk-extents', 'its extent has another size than its header tells');
}

function refusal(rule: string, says: string): Refusal {
  return new Refusal(rule, `vmdk: ${says}`);
}
