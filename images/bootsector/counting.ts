import { dword, label } from '../../src/hypervisor/kvm-proof/assembler.ts';
import type { Program } from '../../src/hypervisor/kvm-proof/assembler.ts';
import { call, jnz, x86 } from '../../src/hypervisor/kvm-proof/instructions.ts';

/** The counter is EBP, which the BIOS's interrupt handlers leave alone. */
export const resetCounter: Program = [
  [0x66, 0x31, 0xed], // xor ebp, ebp
];

/** The counter goes up by one. */
export const count: Program = [
  [0x66, 0x45], // inc ebp
];

/** Routine `number`: sends the counter in decimal. It changes EAX, EBX, CX and EDX, and needs the serial routines. */
export const numberRoutine: Program = [
  label('number'),
  [0x66, 0x89, 0xe8], // mov eax, ebp
  [0x66, 0xbb, ...dword(10)], // mov ebx, 10
  [0x31, 0xc9], // xor cx, cx
  label('divide'),
  [0x66, 0x31, 0xd2], // xor edx, edx
  [0x66, 0xf7, 0xf3], // div ebx
  [0x52], // push dx: digits come last first
  [0x41], // inc cx
  [0x66, 0x85, 0xc0], // test eax, eax
  jnz('divide'),
  label('digit'),
  [0x58], // pop ax
  [0x04, 0x30], // add al, '0'
  call('send'),
  { opcode: [0xe2], to: 'digit', as: 'near8' }, // loop
  x86.ret,
];

/** Sleeps until the next interrupt, which is the BIOS's timer (65536 / 1193182 Hz = 54.9 ms); interrupts stay off while the guest runs. */
export const sleepOneTick: Program = [x86.sti, x86.hlt, x86.cli];

/** Sleeps for 18 ticks, 0.99 s. It changes CX. */
export const sleepOneSecond: Program = [
  [0xb9, 18, 0], // mov cx, 18
  label('tick'),
  ...sleepOneTick,
  { opcode: [0xe2], to: 'tick', as: 'near8' }, // loop
];
