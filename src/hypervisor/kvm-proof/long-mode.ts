import { dword, label, text, word } from './assembler.ts';
import type { Program } from './assembler.ts';
import { acpiOff, acpiPorts, bootDisk } from './boot-sector.ts';
import { jmp, jnz, jz, movEax, movEdx, movRsi, testAl, x86 } from './instructions.ts';
import { com1, transmitterEmpty } from './serial.ts';

/** What the long-mode proof writes to COM1, as one line. */
export const longModeMarker = 'vmlet-boot: long';

/** How many instructions the proof runs in 64-bit mode before it writes its marker. */
const instructions = 100_000_000;

/** Three page tables, one page each; memory that neither BIOS data nor the boot sector uses. */
const [pml4, pdpt, pageDirectory] = [0x1000, 0x2000, 0x3000];
const presentWritable = 0x03;
const largePage = 0x80;

/** The first 2 MiB of memory are mapped to themselves by one large page. */
const makePageTables: Program = [
  [0xbf, ...word(pml4)], // mov di, pml4
  [0xb9, ...word((3 * 4096) / 4)], // mov cx, dwords in the three pages
  [0x66, 0x31, 0xc0], // xor eax, eax
  [0xf3, 0x66, 0xab], // rep stosd
  [0xc7, 0x06, ...word(pml4), ...word(pdpt | presentWritable)], // mov word [pml4], pdpt
  [0xc7, 0x06, ...word(pdpt), ...word(pageDirectory | presentWritable)], // mov word [pdpt], page directory
  [0xc7, 0x06, ...word(pageDirectory), ...word(largePage | presentWritable)], // mov word [page directory], address 0
];

/** From 16-bit mode to 64-bit mode in one step (AMD64 manual, volume 2, section 14.6): PAE, page tables, EFER.LME, then protection and paging at once. */
const enterLongMode: Program = [
  [0x66, 0xb8, ...dword(1 << 5)], // mov eax, PAE
  [0x0f, 0x22, 0xe0], // mov cr4, eax
  [0x66, 0xb8, ...dword(pml4)], // mov eax, pml4
  [0x0f, 0x22, 0xd8], // mov cr3, eax
  [0x66, 0xb9, ...dword(0xc0000080)], // mov ecx, EFER
  [0x0f, 0x32], // rdmsr
  [0x0d, ...word(1 << 8)], // or ax, LME
  [0x0f, 0x30], // wrmsr
  { opcode: [0x0f, 0x01, 0x16], to: 'gdt-pointer', as: 'address16' }, // lgdt
  [0x0f, 0x20, 0xc0], // mov eax, cr0
  [0x66, 0x0d, ...dword(0x80000001)], // or eax, PG | PE
  [0x0f, 0x22, 0xc0], // mov cr0, eax
  { opcode: [0xea], to: 'long-mode', as: 'address16' }, // far jump to ...
  word(8), // ... the code segment of the table below
];

/** A descriptor table with a 64-bit code segment; 64-bit mode needs no other. */
const segments: Program = [
  label('gdt'),
  [...dword(0), ...dword(0)],
  [...dword(0), ...dword(0x00209a00)], // present, code, 64-bit
  label('gdt-pointer'),
  word(2 * 8 - 1),
  { opcode: [], to: 'gdt', as: 'address32' },
];

const in64BitMode: Program = [
  label('long-mode'),
  [0xb9, ...dword(instructions / 2)], // mov ecx, rounds of two instructions
  label('round'),
  [0xff, 0xc9], // dec ecx
  jnz('round'),
  movRsi('marker'),
  label('next'),
  x86.lodsb,
  x86.testAlAl,
  jz('off'),
  x86.movAhAl,
  movEdx(com1.lineStatus),
  label('busy'),
  x86.inAlDx,
  testAl(transmitterEmpty),
  jz('busy'),
  movEdx(com1.data),
  x86.movAlAh,
  x86.outDxAl,
  jmp('next'),
  label('off'),
  movEdx(acpiPorts.control),
  movEax(acpiOff),
  x86.outDxAxLong,
  label('end'),
  x86.hlt,
  jmp('end'),
];

/**
 * A raw disk (1 MiB) whose boot sector proves that the virtual CPU works as VMs need it: it enters 64-bit mode with paging, runs 10^8 instructions there,
 * writes `longModeMarker` to COM1 and powers the machine off. On a host whose KVM only seems to work the marker does not come.
 */
export function longModeProof(): Uint8Array {
  return bootDisk([...makePageTables, ...enterLongMode, ...in64BitMode, ...segments, label('marker'), text(`${longModeMarker}\r\n`)]);
}
