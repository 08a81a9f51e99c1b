import { dword, word } from './assembler.ts';
import type { Piece } from './assembler.ts';

// The few x86 instructions that boot sectors are made of, as named in Intel's manual, volume 2; in `Ax`, `Dx`, `Si` a word register in 16-bit code.

/** Instructions without operands, or whose operands are part of the name. */
export const x86 = {
  cli: [0xfa],
  sti: [0xfb],
  hlt: [0xf4],
  ret: [0xc3],
  lodsb: [0xac],
  inAlDx: [0xec],
  inAxDx: [0xed],
  outDxAl: [0xee],
  outDxAx: [0xef],
  /** The same in 64-bit code, where words need a prefix. */
  outDxAxLong: [0x66, 0xef],
  testAlAl: [0x84, 0xc0],
  movAhAl: [0x88, 0xc4],
  movAlAh: [0x88, 0xe0],
} as const satisfies Readonly<Record<string, Piece>>;

/** Calls a routine of 16-bit code. */
export function call(to: string): Piece {
  return { opcode: [0xe8], to, as: 'near16' };
}

/** Jumps, always. */
export function jmp(to: string): Piece {
  return { opcode: [0xeb], to, as: 'near8' };
}

/** Jumps if the last result was zero. */
export function jz(to: string): Piece {
  return { opcode: [0x74], to, as: 'near8' };
}

/** Jumps if the last result was not zero. */
export function jnz(to: string): Piece {
  return { opcode: [0x75], to, as: 'near8' };
}

/** SI = a label's address, in 16-bit code. */
export function movSi(to: string): Piece {
  return { opcode: [0xbe], to, as: 'address16' };
}

/** RSI = a label's address, in 64-bit code. */
export function movRsi(to: string): Piece {
  return { opcode: [0xbe], to, as: 'address32' };
}

/** AL = a byte. */
export function movAl(value: number): Piece {
  return [0xb0, value];
}

/** AX = a word, in 16-bit code. */
export function movAx(value: number): Piece {
  return [0xb8, ...word(value)];
}

/** DX = a word, in 16-bit code. */
export function movDx(value: number): Piece {
  return [0xba, ...word(value)];
}

/** EAX = 32 bits, in 64-bit code. */
export function movEax(value: number): Piece {
  return [0xb8, ...dword(value)];
}

/** EDX = 32 bits, in 64-bit code. */
export function movEdx(value: number): Piece {
  return [0xba, ...dword(value)];
}

/** Zero flag = no bit of `mask` is set in AL. */
export function testAl(mask: number): Piece {
  return [0xa8, mask];
}
