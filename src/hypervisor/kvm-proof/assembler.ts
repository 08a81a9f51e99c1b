/** A reference to a label: `opcode`, then the label's distance from the next instruction (`near8`, `near16`) or its address. */
interface Reference {
  readonly opcode: readonly number[];
  readonly to: string;
  readonly as: 'near8' | 'near16' | 'address16' | 'address32';
}

/** A piece of an x86 program: bytes as they stand, the name of the place where the next piece lands, or an instruction that refers to such a place. */
export type Piece = readonly number[] | { readonly label: string } | Reference;

/** Pieces in the order in which they lie in memory. */
export type Program = readonly Piece[];

const widths = { near8: 1, near16: 2, address16: 2, address32: 4 } as const;

/** Names the place of the next piece; a program has each name once. */
export function label(name: string): Piece {
  return { label: name };
}

/** Little-endian bytes of the low 16 bits of a number. */
export function word(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

/** Little-endian bytes of the low 32 bits of a number. */
export function dword(value: number): readonly number[] {
  return [...word(value), ...word(value >>> 16)];
}

/** The bytes of an ASCII text and a final NUL. */
export function text(content: string): Piece {
  return [...Buffer.from(`${content}\0`, 'latin1')];
}

/** Turns a program that is loaded at address `origin` into bytes. Throws on a label that is missing or there twice, and on a `near8` that is too far. */
export function assemble(program: Program, origin: number): Uint8Array {
  const labels = placeLabels(program, origin);
  const bytes: number[] = [];
  for (const piece of program) {
    if ('label' in piece) continue;
    if ('to' in piece) bytes.push(...piece.opcode, ...resolve(piece, labels, origin + bytes.length));
    else bytes.push(...piece);
  }
  return Uint8Array.from(bytes);
}

function placeLabels(program: Program, origin: number): ReadonlyMap<string, number> {
  const labels = new Map<string, number>();
  let address = origin;
  for (const piece of program) {
    if ('label' in piece) {
      if (labels.has(piece.label)) throw new Error(`label ${piece.label} is there twice`);
      labels.set(piece.label, address);
    } else if ('to' in piece) address += piece.opcode.length + widths[piece.as];
    else address += piece.length;
  }
  return labels;
}

function resolve({ opcode, to, as }: Reference, labels: ReadonlyMap<string, number>, address: number): readonly number[] {
  const target = labels.get(to);
  if (target === undefined) throw new Error(`there is no label ${to}`);
  if (as === 'address32') return dword(target);
  if (as === 'address16') return word(target);
  const distance = target - (address + opcode.length + widths[as]);
  if (as === 'near16') return word(distance);
  if (distance < -128 || distance > 127) throw new Error(`label ${to} is ${distance} bytes away, a short jump reaches 127`);
  return [distance & 0xff];
}
