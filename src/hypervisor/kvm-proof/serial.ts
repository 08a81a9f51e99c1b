import { call, jmp, jz, movAl, movDx, testAl, x86 } from './instructions.ts';
import { label } from './assembler.ts';
import type { Program } from './assembler.ts';

/** Registers of COM1, a 16550 UART. */
export const com1 = { data: 0x3f8, divisorHigh: 0x3f9, lineControl: 0x3fb, lineStatus: 0x3fd } as const;

/** Bit of `lineStatus`: the data register takes a byte. */
export const transmitterEmpty = 0x20;

/** Sets COM1 to 115200 baud, 8 data bits, no parity, one stop bit; 16-bit code. */
export const openSerial: Program = (
  [
    [com1.lineControl, 0x83], // the divisor latch is open
    [com1.data, 1],
    [com1.divisorHigh, 0],
    [com1.lineControl, 0x03],
  ] as const
).flatMap(([port, value]) => [movDx(port), movAl(value), x86.outDxAl]);

/**
 * Routines of 16-bit code: `print` sends the NUL-terminated text at SI, `send` the byte in AL, each byte once the port takes it.
 * They change AX, DX and SI.
 */
export const serialRoutines: Program = [
  label('print'),
  x86.lodsb,
  x86.testAlAl,
  jz('printed'),
  call('send'),
  jmp('print'),
  label('send'),
  x86.movAhAl,
  movDx(com1.lineStatus),
  label('busy'),
  x86.inAlDx,
  testAl(transmitterEmpty),
  jz('busy'),
  movDx(com1.data),
  x86.movAlAh,
  x86.outDxAl,
  label('printed'),
  x86.ret,
];
